# Run in the guest, as root, in the folder of the export, with the member's account; tells the number of files.
set -euo pipefail
mv /data/dump/nextcloud.sql base.sql
mkdir fichiers
for files in /data/nextcloud/data/*/files; do
    [ -d "$files" ] || continue
    cp -R --preserve=timestamps --reflink=auto "$files" "fichiers/$(basename "$(dirname "$files")")"
done
find . -type f ! -name SHA256SUMS -print0 | sort -z | xargs -0 sha256sum >SHA256SUMS
chown -R "$1": .
chmod -R u=rwX,g=rX,o= .
find . -type f | wc -l

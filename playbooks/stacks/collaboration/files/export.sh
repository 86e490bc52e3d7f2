#!/bin/sh
# Run in the guest, as root. Its last line is the number of files.
set -eu
umask 027
wiki=/data/wiki
collections=/data/radicale/collection-root
cd /data/export
cp -r "$wiki/data/pages" pages
cp -r "$wiki/data/attic" versions
cp -r "$wiki/data/media" medias
{
    echo "identifiant;nom;adresse;groupes"
    grep '^[^#]' "$wiki/conf/users.auth.php" | awk -v OFS=';' '{
        gsub(/\\:/, "\001"); split($0, part, ":")
        for (i in part) { gsub("\001", ":", part[i]); gsub(/"/, "\"\"", part[i]) }
        print part[1], "\"" part[3] "\"", "\"" part[4] "\"", "\"" part[5] "\""
    }'
} >comptes.csv
mkdir agendas contacts
for properties in "$collections"/*/*/.Radicale.props; do
    [ -f "$properties" ] || continue
    collection=$(dirname "$properties")
    owner=$(basename "$(dirname "$collection")")
    name=$(basename "$collection")
    target=agendas/$owner-$name.ics
    if grep -q VADDRESSBOOK "$properties"; then target=contacts/$owner-$name.vcf; fi
    # Radicale itself joins a collection's items into one valid file.
    curl --fail --silent --show-error --max-time 300 --user-agent export -H "X-Remote-User: $owner" \
        -o "$target" "http://127.0.0.1:5232/$owner/$name/"
done
find . -type f ! -name SHA256SUMS -print0 | sort -z | xargs -0 sha256sum >SHA256SUMS
find . -type f | wc -l

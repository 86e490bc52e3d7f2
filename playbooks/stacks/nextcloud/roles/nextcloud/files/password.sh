# Run in the guest, as root. Reads the password; tells when it was set. Only a new one is: what the administrator has
# chosen since in Nextcloud itself is not taken back.
set -eu
IFS= read -r OC_PASS
export OC_PASS
given=/data/nextcloud/.password
sum=$(printf %s "$OC_PASS" | sha256sum | cut -d ' ' -f 1)
if [ "$(cat "$given" 2>/dev/null)" = "$sum" ]; then exit 0; fi
occ user:resetpassword --password-from-env admin >/dev/null
umask 077
echo "$sum" >"$given"
echo set

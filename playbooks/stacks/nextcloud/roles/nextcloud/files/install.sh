# Run in the guest, as root. Its command takes a password as an argument only: this one is nobody's, `password.sh` gives
# the administrator another one before the site is served. www-data is known to MariaDB by its socket, without a password.
set -eu
runuser -u www-data -- touch /data/nextcloud/config/CAN_INSTALL
occ maintenance:install --database=mysql --database-name=nextcloud --database-user=www-data --database-pass= \
    --data-dir=/data/nextcloud/data --admin-user=admin --admin-email="$1" \
    --admin-pass="$(head -c 30 /dev/urandom | base64)"
occ background:cron

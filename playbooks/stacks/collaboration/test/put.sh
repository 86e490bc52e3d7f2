#!/bin/sh
set -eu
runuser -u www-data -- php -r '
define("DOKU_INC", "/usr/share/dokuwiki/");
define("NOSESSION", 1);
require DOKU_INC . "inc/init.php";
plugin_load("auth", "authplain")->createUser("jeanne", "le clocher sonne", "Jeanne : Martin", "jeanne@essai.example", ["user"]);
saveWikiText("essai:clocher", "====== Essai ======\n\nLe clocher sonne à l’heure.", "essai");
'
calendar=http://127.0.0.1/agenda/jeanne/essai/
curl --fail --silent --max-time 20 --user 'jeanne:le clocher sonne' -X MKCALENDAR "$calendar"
curl --fail --silent --max-time 20 --user 'jeanne:le clocher sonne' -X PUT -H 'Content-Type: text/calendar' "${calendar}conseil.ics" \
    --data-binary @- <<'ICS'
BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//essai//FR
BEGIN:VEVENT
UID:conseil
DTSTAMP:20260101T100000Z
DTSTART:20260102T180000Z
DTEND:20260102T200000Z
SUMMARY:Conseil municipal
END:VEVENT
END:VCALENDAR
ICS

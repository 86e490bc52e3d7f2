<?php
// Writes below the current folder what Nextcloud keeps in its database and people can use elsewhere. Root is known to
// MariaDB by its socket.
$database = new PDO('mysql:unix_socket=/run/mysqld/mysqld.sock;dbname=nextcloud;charset=utf8mb4', 'root', '', [
    PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION, PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_NUM,
    PDO::MYSQL_ATTR_USE_BUFFERED_QUERY => false,
]);

// One file for each appointment or card: <folder>/<account>/<collection>/<its own name>.
function write_collections(PDO $database, string $folder, string $ending, string $query): void {
    foreach ($database->query($query) as [$id, $principal, $collection, $name, $content]) {
        $safe = fn($text) => ltrim(preg_replace('/[^\pL\pN@ ._-]/u', '_', $text), '.');
        $place = "$folder/" . $safe(basename($principal)) . '/' . $safe($collection);
        is_dir($place) || mkdir($place, 0750, true);
        $file = "$place/" . $safe(basename($name, ".$ending")) . ".$ending";
        file_put_contents(file_exists($file) ? "$place/$id.$ending" : $file, $content);
    }
}

function write_table(PDO $database, string $file, array $titles, string $query): void {
    $table = fopen($file, 'w');
    fputcsv($table, $titles, ';', '"', '');
    foreach ($database->query($query) as $row) {
        fputcsv($table, $row, ';', '"', '');
    }
    fclose($table);
}

mkdir('agendas');
mkdir('contacts');
write_collections($database, 'agendas', 'ics', "SELECT o.id, c.principaluri, c.uri, o.uri, o.calendardata
    FROM oc_calendars c JOIN oc_calendarobjects o ON o.calendarid = c.id AND o.calendartype = 0
    WHERE c.principaluri LIKE 'principals/users/%' AND o.deleted_at IS NULL ORDER BY o.id");
write_collections($database, 'contacts', 'vcf', "SELECT o.id, c.principaluri, c.uri, o.uri, o.carddata
    FROM oc_addressbooks c JOIN oc_cards o ON o.addressbookid = c.id
    WHERE c.principaluri LIKE 'principals/users/%' ORDER BY o.id");
write_table($database, 'comptes.csv', ['identifiant', 'nom', 'adresse', 'groupes'], "SELECT u.uid, u.displayname,
    (SELECT p.configvalue FROM oc_preferences p WHERE p.userid = u.uid AND p.appid = 'settings' AND p.configkey = 'email'),
    (SELECT GROUP_CONCAT(g.gid ORDER BY g.gid SEPARATOR ', ') FROM oc_group_user g WHERE g.uid = u.uid)
    FROM oc_users u ORDER BY u.uid");
// Neither the address of a link nor its password.
write_table($database, 'partages.csv', ['propriétaire', 'fichier', 'avec', 'expire'], "SELECT uid_owner, file_target,
    CASE share_type WHEN 3 THEN 'lien public' ELSE share_with END, expiration FROM oc_share ORDER BY id");

<?php
// Writes the answer to a question as CSV that a French spreadsheet opens: semicolons, and the mark of UTF-8.
$zm = new PDO('mysql:host=localhost;dbname=zm;charset=utf8mb4', 'www-data', '', [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
$zm->setAttribute(PDO::MYSQL_ATTR_USE_BUFFERED_QUERY, false);
echo "\u{FEFF}";
$heads = null;
foreach ($zm->query($argv[1], PDO::FETCH_ASSOC) as $row) {
    $heads ??= fputcsv(STDOUT, array_keys($row), ';');
    fputcsv(STDOUT, $row, ';');
}

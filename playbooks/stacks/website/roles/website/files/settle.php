<?php
// Brings WordPress's database to what the service wants: installed, its tables those of the code, new answers applied.
// Reads the answers as JSON; prints a line for each thing that it changed.
$wanted = json_decode(stream_get_contents(STDIN));
$_SERVER['HTTP_HOST'] = $wanted->host ?: 'localhost';
$_SERVER['SERVER_ADDR'] = '127.0.0.1';
$_SERVER['REQUEST_METHOD'] = 'GET';
define('WP_INSTALLING', true);
// WordPress lets these be replaced: no mail about the installation, and our first pages instead of its examples.
function wp_new_blog_notification(...$unused) {}
function wp_install_defaults($user) {
    global $wanted;
    $add = fn($page) => wp_insert_post($page + ['post_type' => 'page', 'post_author' => $user, 'comment_status' => 'closed']);
    $name = esc_html($wanted->title);
    wp_insert_term('Actualités', 'category', ['slug' => 'actualites']);
    $home = $add(['post_title' => 'Bienvenue', 'post_status' => 'publish', 'post_content' => <<<HTML
        <p>Bienvenue sur le site de <strong>$name</strong>.</p>
        <p>Ce site vient d’ouvrir : ses pages arrivent bientôt.</p>
        HTML]);
    $add(['post_title' => 'Mentions légales', 'post_status' => 'draft', 'post_content' => <<<HTML
        <p>Éditeur : $name, SIRET {$wanted->siret}. Directeur de la publication : à compléter.</p>
        <p>Hébergeur : à compléter (nom, adresse, téléphone).</p>
        HTML]);
    update_option('show_on_front', 'page');
    update_option('page_on_front', $home);
}

require '/usr/share/wordpress/wp-load.php';
require ABSPATH . 'wp-admin/includes/upgrade.php';
if (!is_blog_installed()) {
    wp_install($wanted->title, 'admin', $wanted->email, true, '', wp_slash($wanted->password), 'fr_FR');
    foreach ([
        'timezone_string' => 'Europe/Paris', 'date_format' => 'j F Y', 'time_format' => 'G \h i', 'start_of_week' => 1,
        'permalink_structure' => '/%year%/%monthnum%/%postname%/', 'blogdescription' => '',
        'default_comment_status' => 'closed', 'default_ping_status' => 'closed', 'default_pingback_flag' => 0,
        'show_avatars' => 0, 'users_can_register' => 0,
        'service_answers' => ['email' => $wanted->email],
    ] as $name => $value) {
        update_option($name, $value);
    }
    global $wp_rewrite;
    $wp_rewrite->init();
    flush_rewrite_rules(false);
    echo "installed\n";
}
if (get_option('db_version') != $GLOBALS['wp_db_version']) {
    wp_upgrade();
    echo "tables upgraded\n";
}
// Only an answer that is new: what its administrator has set since in WordPress itself is not taken back.
if (get_option('service_answers') != ['email' => $wanted->email]) {
    update_option('admin_email', $wanted->email);
    update_option('service_answers', ['email' => $wanted->email]);
    echo "answers applied\n";
}
// A secret that is new, as after a renewal, or when another service's data came here: what was last given is in a hash. A
// password that its administrator chose in WordPress stays as chosen until then.
$given = get_option('service_password');
if (!$given || !wp_check_password($wanted->password, $given)) {
    if ($given && ($admin = get_user_by('login', 'admin'))) {
        wp_set_password($wanted->password, $admin->ID);
    }
    update_option('service_password', wp_hash_password($wanted->password), false);
    echo "password settled\n";
}

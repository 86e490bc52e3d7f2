<?php
// Plugin Name: Le français du service
// Debian's French translation is older than its WordPress and has none of the block editor. So pages are written with the
// editor that speaks French, and what one sees each day and would find in English is translated here or left out.

add_filter('use_block_editor_for_post', '__return_false');
const SERVICE_FRENCH = [
    'Proudly powered by %s' => 'Propulsé par %s',
    'Howdy, %s' => 'Bonjour, %s',
    'At a Glance' => 'D’un coup d’œil',
    'Activity' => 'Activité',
    'Recently Published' => 'Publié récemment',
    'Today' => 'Aujourd’hui',
    'Yesterday' => 'Hier',
    'Tomorrow' => 'Demain',
    'WordPress %1$s running %2$s theme.' => 'WordPress %1$s, thème %2$s.',
    'Thank you for creating with <a href="%s">WordPress</a>.' => 'Merci de faire vivre ce site avec <a href="%s">WordPress</a>.',
    'Log In' => 'Se connecter',
    'Username or Email Address' => 'Identifiant ou adresse électronique',
    'Password' => 'Mot de passe',
    'Remember Me' => 'Se souvenir de moi',
    'Lost your password?' => 'Mot de passe oublié ?',
    '&larr; Go to %s' => '&larr; Aller sur %s',
    'Language' => 'Langue',
    'Show password' => 'Afficher le mot de passe',
    'Hide password' => 'Masquer le mot de passe',
    'Add title' => 'Titre',
    'Search' => 'Rechercher',
    'Page not found' => 'Page introuvable',
    'Visual' => 'Visuel',
    'Default template' => 'Modèle par défaut',
    'Featured image' => 'Image mise en avant',
    'Set featured image' => 'Choisir l’image mise en avant',
    'Need help? Use the Help tab above the screen title.' => 'Besoin d’aide ? Voyez l’onglet Aide, au-dessus du titre.',
    'Drag boxes here' => 'Déposez des blocs ici',
    'F jS Y, g:i a' => 'j F Y à G \h i',
];
add_filter('gettext', fn($text, $source) => SERVICE_FRENCH[$source] ?? $text, 10, 2);
add_filter('gettext_with_context', fn($text, $source) => SERVICE_FRENCH[$source] ?? $text, 10, 2);
add_filter('ngettext', fn($text, $one, $many, $count) => [
    '%s Post' => $count > 1 ? '%s articles' : '%s article',
    '%s Page' => $count > 1 ? '%s pages' : '%s page',
][$one] ?? $text, 10, 4);
add_action('wp_dashboard_setup', function () {
    foreach (['dashboard_primary' => 'side', 'dashboard_quick_press' => 'side', 'dashboard_site_health' => 'normal'] as $box => $side) {
        remove_meta_box($box, 'dashboard', $side);
    }
    remove_action('welcome_panel', 'wp_welcome_panel');
});
add_filter('login_display_language_dropdown', '__return_false');

<?php
// Plugin Name: Réglages du service
// What no administrator of the site can switch off.

add_filter('xmlrpc_enabled', '__return_false');
add_filter('wp_headers', function ($headers) {
    unset($headers['X-Pingback']);
    return $headers;
});
if (defined('SERVICE_TEST')) {
    add_filter('pre_wp_mail', '__return_false');
}
remove_action('wp_head', 'rsd_link');
remove_action('wp_head', 'wlwmanifest_link');
remove_action('wp_head', 'wp_generator');
add_filter('the_generator', '__return_empty_string');

// Visitors' browsers ask no other server: their own pictures of emoji are good enough.
remove_action('wp_head', 'print_emoji_detection_script', 7);
remove_action('admin_print_scripts', 'print_emoji_detection_script');
remove_action('wp_print_styles', 'print_emoji_styles');
remove_action('admin_print_styles', 'print_emoji_styles');
add_filter('emoji_svg_url', '__return_false');

// Who has an account is nobody's business outside.
add_filter('rest_endpoints', function ($routes) {
    $hidden = fn($route) => !is_user_logged_in() && str_starts_with($route, '/wp/v2/users');
    return array_filter($routes, fn($route) => !$hidden($route), ARRAY_FILTER_USE_KEY);
});
add_action('template_redirect', function () {
    if (is_author() || isset($_GET['author'])) {
        global $wp_query;
        $wp_query->set_404();
        status_header(404);
    }
}, 0);
add_filter('oembed_response_data', fn($data) => array_diff_key($data, ['author_name' => 0, 'author_url' => 0]));
add_filter('wp_sitemaps_add_provider', fn($provider, $name) => $name === 'users' ? false : $provider, 10, 2);
add_filter('login_errors', fn() => 'Identifiant ou mot de passe incorrect.');

// A text holds no address of the site: it stays right whichever way the site was reached when it was written.
add_filter('content_save_pre', fn($text) => str_replace(WP_HOME . '/wp-content/uploads/', '/wp-content/uploads/', $text));

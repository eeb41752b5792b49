//! Whom and what a sleeping app is not woken for, as data, each with its reason.

/// How a path is recognised. Letters may be of any case.
#[derive(Clone, Copy, Debug)]
pub enum Door {
    /// The whole path.
    Path(&'static str),
    /// The path itself, or anything below it.
    Below(&'static str),
    /// Any part between slashes that begins so.
    Part(&'static str),
    /// The end of the last part.
    End(&'static str),
}

use Door::{Below, End, Part, Path};

/// What scanners try on every host. No app is woken for these.
pub const DOORS: &[(Door, &str)] = &[
    (Part(".env"), "variables with secrets, left in a web root"),
    (Part(".git"), "a repository, left in a web root; also .gitignore and .github"),
    (Part(".svn"), "the same of Subversion"),
    (Part(".hg"), "the same of Mercurial"),
    (Part(".aws"), "keys of a cloud account"),
    (Part(".ssh"), "keys"),
    (Part(".kube"), "keys of a cluster"),
    (Part(".docker"), "keys of a registry"),
    (Part(".npmrc"), "keys of a registry"),
    (Part(".htaccess"), "settings of Apache"),
    (Part(".htpasswd"), "passwords of Apache"),
    (Part(".vscode"), "an editor's settings, which name passwords"),
    (Part(".idea"), "the same of another editor"),
    (Part(".ds_store"), "names of files"),
    (Part(".bash_history"), "commands with passwords"),
    (Part("wp-login"), "WordPress"),
    (Part("wp-admin"), "WordPress"),
    (Part("wp-content"), "WordPress"),
    (Part("wp-includes"), "WordPress"),
    (Part("wp-config"), "WordPress"),
    (Part("wp-json"), "WordPress"),
    (Below("/wordpress"), "WordPress"),
    (Below("/xmlrpc"), "WordPress"),
    (Below("/phpmyadmin"), "a database's pages in PHP"),
    (Below("/pma"), "the same"),
    (Below("/cgi-bin"), "programs of old servers"),
    (Below("/vendor/phpunit"), "a hole in a PHP library"),
    (Below("/boaform"), "a hole in home routers"),
    (Below("/hnap1"), "a hole in home routers"),
    (Below("/gponform"), "a hole in home routers"),
    (Below("/actuator"), "Spring's insides"),
    (Below("/solr/admin"), "Solr's pages"),
    (Below("/manager/html"), "Tomcat's pages"),
    (Below("/owa/auth"), "Exchange"),
    (Below("/ecp/current"), "Exchange"),
    (Below("/autodiscover"), "Exchange"),
    (Below("/_ignition"), "a hole in Laravel"),
    (Below("/telescope/requests"), "Laravel's insides"),
    (Path("/server-status"), "Apache's insides"),
    (Path("/backup.sql"), "a database, left in a web root"),
    (Path("/dump.sql"), "the same"),
    (End(".php"), "PHP does not run here"),
    (End(".php5"), "the same"),
    (End(".php7"), "the same"),
    (End(".phtml"), "the same"),
    (End(".asp"), "nor does ASP"),
    (End(".aspx"), "the same"),
    (End(".ashx"), "the same"),
    (End(".jsp"), "nor does JSP"),
    (End(".jspx"), "the same"),
    (End(".cgi"), "nor does CGI"),
    (End(".cfm"), "nor does ColdFusion"),
    (End(".swp"), "an editor's copy of a file"),
];

/// What programs ask for by themselves, and nobody misses while an app sleeps.
pub const NOISE: &[(Door, &str)] = &[
    (Path("/favicon.ico"), "browsers ask for it beside a page, and the page wakes the app"),
    (Part("apple-touch-icon"), "the same"),
    (Path("/browserconfig.xml"), "tiles of an old Windows"),
    (Path("/crossdomain.xml"), "Flash"),
    (Path("/clientaccesspolicy.xml"), "Silverlight"),
    (Below("/.well-known/acme-challenge"), "certificates are the server's affair"),
    (Below("/.well-known/pki-validation"), "the same"),
    (Path("/.well-known/traffic-advice"), "Chrome's prefetch proxy asks every host"),
    (Below("/.well-known/appspecific/com.chrome.devtools.json"), "Chrome's tools ask every host"),
    (
        Path("/.well-known/resource-that-should-not-exist-whose-status-code-should-not-be-200"),
        "password managers try whether 404 means that",
    ),
];

/// What machines ask every host for and some apps have: the app is asked once per version, and from then on is woken
/// only if it had it. At most 32.
pub const RARE: &[(Door, &str)] = &[
    (Path("/robots.txt"), "to guess that there is none would let robots into what it forbids"),
    (Path("/ads.txt"), "sellers of advertisements"),
    (Path("/app-ads.txt"), "the same"),
    (Path("/sellers.json"), "the same"),
    (Path("/humans.txt"), "who made it"),
    (Path("/security.txt"), "whom to tell of holes"),
    (Path("/.well-known/security.txt"), "the same"),
    (Path("/.well-known/assetlinks.json"), "Android's apps"),
    (Path("/.well-known/apple-app-site-association"), "Apple's apps"),
    (Path("/apple-app-site-association"), "the same"),
    (Path("/.well-known/gpc.json"), "privacy"),
    (Path("/.well-known/dnt-policy.txt"), "the same"),
    (Path("/.well-known/change-password"), "password managers"),
    (Path("/.well-known/passkey-endpoints"), "the same"),
    (Path("/.well-known/ai-plugin.json"), "assistants"),
    (Path("/llms.txt"), "assistants"),
];

/// Parts of the User-Agent of programs that look for holes. No app is woken for them.
pub const SCANNERS: &[&str] = &[
    "zgrab",
    "masscan",
    "nmap scripting",
    "nuclei",
    "nikto",
    "sqlmap",
    "wpscan",
    "gobuster",
    "dirbuster",
    "feroxbuster",
    "fuzz faster u fool",
    "zmeu",
    "censysinspect",
    "expanse",
    "internetmeasurement",
    "internet-measurement",
    "l9explore",
    "l9tcpid",
    "leakix",
    "modatscanner",
    "netcraftsurveyagent",
    "onyphe",
    "shodan",
];

/// Parts of the User-Agent of programs that ask again and again whether a site is up.
pub const MONITORS: &[&str] = &[
    "uptimerobot",
    "uptime-kuma",
    "better uptime",
    "better stack",
    "pingdom",
    "statuscake",
    "site24x7",
    "hetrixtools",
    "updown.io",
    "freshping",
    "nodeping",
    "cronitor",
    "checkly",
    "oh dear",
    "gatus",
    "kube-probe",
    "elb-healthchecker",
    "googlehc",
    "cloudflare-healthchecks",
    "amazon-route53-health-check",
    "edge health probe",
    "check_http",
    "zabbix",
    "blackbox exporter",
    "blackbox-exporter",
    "datadogsynthetics",
    "newrelicpinger",
    "consul health check",
];

/// Parts of the User-Agent of programs that fetch a page because a person has just sent its address to another: as
/// good as that person.
pub const PREVIEWS: &[&str] = &[
    "slackbot",
    "slack-imgproxy",
    "twitterbot",
    "facebookexternalhit",
    "discordbot",
    "whatsapp",
    "telegrambot",
    "linkedinbot",
    "skypeuripreview",
    "redditbot",
    "mastodon",
    "cardyb",
    "iframely",
    "embedly",
    "pinterestbot",
    "chatgpt-user",
    "claude-user",
    "perplexity-user",
];

/// Parts of the User-Agent of programs that read sites by themselves: for search, advertisements, archives, models.
pub const ROBOTS: &[&str] =
    &["bot/", "bot;", "bot)", "bot ", "crawler", "spider", "slurp", "archiver", "externalagent", "ahrefs", "semrush"];

use proptest::prelude::*;

use super::*;
use crate::base::Kind;

fn load(file: &str, environment: &[(&str, &str)], overrides: Overrides) -> Result<(Config, Vec<String>)> {
    let table = file::parse("steady.toml", file)?;
    let environment = environment.iter().map(|(k, v)| (OsString::from(k), OsString::from(v)));
    merge(Some(("steady.toml".to_owned(), table)), environment, &overrides)
}

/// All fields, and no `..`: a new field does not compile here until it is given, and is not found in the
/// table until it is documented.
fn full() -> Config {
    Config {
        data: ".steady".into(),
        listen: "127.0.0.1:8080".parse().unwrap(),
        domain: "localhost".to_owned(),
        editor_domain: None,
        scheme: "http".to_owned(),
        tls: "off".to_owned(),
        tls_listen: "0.0.0.0:443".parse().unwrap(),
        tls_cert: Vec::new(),
        tls_key: Vec::new(),
        acme: Vec::new(),
        acme_email: None,
        acme_roots: None,
        acme_eab_kid: None,
        acme_eab_key_file: None,
        acme_dns_file: None,
        hsts: "auto".to_owned(),
        trusted_proxies: Vec::new(),
        proxy_protocol: false,
        bun: None,
        guests: false,
        guest_days: 7,
        memory_mb: 512,
        pids: 256,
        cpu_percent: 200,
        disk_mb: 1024,
        max_memory_mb: 2048,
        max_cpu_percent: 400,
        max_disk_mb: 10_240,
        default_net: "none".to_owned(),
        build_hosts: Vec::new(),
        private_hosts: Vec::new(),
        sandbox: "auto".to_owned(),
        freeze_seconds: 30,
        reclaim_seconds: 300,
        idle_seconds: 3600,
        warm_pool: 2,
        log_mb: 16,
        outbound_mb: 10_240,
        rate: 0,
        app_rate: 0,
        concurrency: 0,
        max_body_mb: 100,
        max_pack_mb: 256,
        start_timeout_seconds: 30,
        drain_seconds: 10,
        uid_base: 1_200_000,
        import_private: false,
        max_domains: 10,
        dns_server: None,
        log: "info".to_owned(),
    }
}

#[test]
fn the_defaults() {
    assert_eq!(Config::default(), full());
    assert_eq!(full().editor_host(), "localhost");
}

#[test]
fn every_field_is_in_the_table_and_the_other_way_round() {
    let shown = format!("{:#?}", full());
    let fields: Vec<&str> = shown
        .lines()
        .filter(|line| line.starts_with("    ") && !line.starts_with("     "))
        .filter_map(|line| line.trim().split_once(':').map(|(name, _)| name))
        .collect();
    let keys: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
    assert_eq!(fields, keys, "in the same order");
}

#[test]
fn the_default_file_is_the_default_config() {
    let printed = Config::default_file();
    assert_eq!(load(&printed, &[], Overrides::default()).unwrap().0, full());
    let uncommented: String = printed
        .lines()
        .filter_map(|line| line.strip_prefix('#').filter(|line| !line.starts_with(' ')))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(uncommented.lines().count(), KEYS.len());
    assert_eq!(load(&uncommented, &[], Overrides::default()).unwrap().0, full());
    assert!(printed.lines().all(|line| line.len() <= 110 && line.trim_end() == line), "{printed}");
    for word in ["MiB", "seconds", "days", "percent"] {
        assert!(printed.contains(word), "units are named: {word}");
    }
}

#[test]
fn flags_before_environment_before_file() {
    let file = "domain = \"File.example\"\npids = 100\nmemory_mb = 100\nguests = true\neditor_domain = \"e.example\"";
    let environment = [("STEADY_PIDS", "200"), ("STEADY_DOMAIN", "env.example"), ("STEADY_EDITOR_DOMAIN", "")];
    let flags = Overrides {
        domain: Some("Flag.example".to_owned()),
        data: Some("/srv/steady".into()),
        listen: Some("[::1]:0".parse().unwrap()),
        bun: Some("/opt/bun".into()),
        ..Overrides::default()
    };
    let (config, warnings) = load(file, &environment, flags).unwrap();
    let expected = Config {
        domain: "flag.example".to_owned(),
        pids: 200,
        memory_mb: 100,
        guests: true,
        data: "/srv/steady".into(),
        listen: "[::1]:0".parse().unwrap(),
        bun: Some("/opt/bun".into()),
        ..full()
    };
    assert_eq!(config, expected);
    assert!(warnings.is_empty());
}

#[test]
fn mistakes_name_place_key_and_what_would_be_right() {
    for (file, public, hint) in [
        ("memory = 5", "steady.toml has `memory`", "`memory_mb`"),
        ("zzzz = 5", "steady.toml has `zzzz`", "config default"),
        ("[limits]\npids = 5", "steady.toml has `limits`", "config default"),
        ("memory_mb = \"5\"", "steady.toml: `memory_mb` is \"5\"", "64 to 1048576 (MiB)"),
        ("memory_mb = 1", "`memory_mb` is 1", "64 to"),
        ("memory_mb = 64.5", "`memory_mb` is 64.5", "whole number"),
        ("pids = -1", "`pids` is -1", "from 16"),
        ("guests = \"yes\"", "`guests` is \"yes\"", "true or false"),
        ("listen = \"8080\"", "`listen` is \"8080\"", "127.0.0.1:8080"),
        ("listen = \"127.0.0.1:80800\"", "`listen`", "port"),
        ("domain = \"http://example.org\"", "`domain`", "without scheme"),
        ("domain = \"10.0.0.1\"", "`domain`", "host name"),
        ("domain = \"\"", "`domain`", "host name"),
        ("domain = 5", "`domain`", "text in quotes"),
        ("data = \"\"", "`data`", "a path"),
        ("scheme = \"ftp\"", "`scheme`", "http or https"),
        ("tls = \"on\"", "`tls`", "off or files or local or auto"),
        ("acme = \"http://ca.example\"", "`acme`", "https://"),
        ("tls_cert = 5", "`tls_cert`", "a path, or a list"),
        ("tls_key = [\"\"]", "`tls_key`", "a path, or a list"),
        ("dns_server = \"9.9.9.9\"", "`dns_server`", "127.0.0.1:8080"),
        ("default_net = \"all\"", "`default_net`", "none or public"),
        ("build_hosts = \"a.example\"", "`build_hosts`", "a list of"),
        ("build_hosts = [\"https://a.example\"]", "`build_hosts`", "a list of"),
        ("private_hosts = [\"db.internal\"]", "`private_hosts`", "hosts with a port"),
        ("private_hosts = [\"169.254.169.254:80\"]", "`private_hosts`", "cannot be opened"),
        ("private_hosts = [\"[fd00:ec2::254]:80\"]", "`private_hosts`", "cannot be opened"),
        ("private_hosts = [\"100.100.100.200:80\"]", "`private_hosts`", "cannot be opened"),
        ("sandbox = \"off\"", "`sandbox`", "auto or single-tenant"),
        ("log = \"steady=loud\"", "`log`", "debug"),
        ("uid_base = 1000", "`uid_base`", "100000"),
    ] {
        let error = load(file, &[], Overrides::default()).unwrap_err();
        assert_eq!(error.kind, Kind::BadInput, "{file}");
        assert!(error.public.contains(public), "{file}: {}", error.public);
        assert!(error.hint.as_ref().unwrap().contains(hint), "{file}: {:?}", error.hint);
    }
    for (variable, value, hint) in
        [("STEADY_PIDS", "many", "whole number"), ("STEADY_GUESTS", "yes", "true"), ("STEADY_DATA", "", "a path")]
    {
        let error = load("", &[(variable, value)], Overrides::default()).unwrap_err();
        assert!(error.public.starts_with(&format!("{variable} is")), "{}", error.public);
        assert!(error.hint.unwrap().contains(hint), "{variable}");
    }
    let flags = Overrides { editor_domain: Some("a b".to_owned()), ..Overrides::default() };
    let error = load("", &[], flags).unwrap_err();
    assert!(error.public.starts_with("--editor-domain is `a b`"), "{}", error.public);
}

#[test]
fn one_path_is_a_list_of_one() {
    let (config, _) =
        load("tls_cert = \"a.pem\"", &[("STEADY_TLS_KEY", "a.key, b.key")], Overrides::default()).unwrap();
    assert_eq!(config.tls_cert, [PathBuf::from("a.pem")]);
    assert_eq!(config.tls_key, [PathBuf::from("a.key"), PathBuf::from("b.key")]);
}

#[test]
fn unknown_variables_are_warned_about_and_the_clients_are_not() {
    let environment = [
        ("STEADY_URL", "http://x"),
        ("STEADY_TOKEN", "steady_secret"),
        ("PATH", "/bin"),
        ("STEADY_MEMORY", "topsecret"),
        ("STEADY_pids", "20"),
    ];
    let (config, warnings) = load("", &environment, Overrides::default()).unwrap();
    assert_eq!(config, full());
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("STEADY_MEMORY") && warnings[0].contains("STEADY_MEMORY_MB"), "{warnings:?}");
    assert!(!warnings.concat().contains("secret"), "never a value");
}

proptest! {
    #[test]
    fn any_file_and_environment_gives_settings_or_a_message(
        file in "([a-z_]{1,12}|pids|domain|data) = ([0-9]{1,25}|\"[^\"\\\\\n]{0,20}\"|true|\\[1\\]|1.5)",
        name in "STEADY_[A-Z_]{0,12}|STEADY_PIDS|STEADY_DOMAIN", value in ".{0,30}",
    ) {
        match load(&file, &[(&name, &value)], Overrides::default()) {
            Ok((config, _)) => {
                prop_assert!((16..=32_768).contains(&config.pids));
                prop_assert!(!config.domain.is_empty() && !config.domain.contains([':', '/', ' ']));
                prop_assert!(!config.data.as_os_str().is_empty());
            }
            Err(e) => {
                prop_assert_eq!(e.kind, Kind::BadInput);
                prop_assert!(e.public.len() < 400 && !e.public.contains('\n'));
            }
        }
    }
}

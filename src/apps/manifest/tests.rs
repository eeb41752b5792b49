use super::*;
use crate::apps::limit::Limit;
use crate::base::Kind;
use crate::runner::Limits;

fn terms() -> Terms {
    let mut most = Limits::default();
    Limit::MemoryMb.set(&mut most, 2048);
    Terms { net: Reach::None, private: vec![], limits: Limits::default(), most }
}

fn parse(text: &str) -> Result<Manifest> {
    Manifest::parse(text.as_bytes(), &terms())
}

#[test]
fn what_is_wrong_is_named_with_its_place_and_what_would_be_right() {
    let deep = "[".repeat(60_000);
    let many = format!("{{\"permissions\":{{\"net\":[{}]}}}}", vec!["\"a.example\""; 201].join(","));
    for (text, place, why, allowed) in [
        ("", "line 1, column 1", "not JSON", "double quotes"),
        ("{", "line 1, column 1", "not JSON", ""),
        ("{\n  \"entry\": \"a.ts\",\n}", "line 3, column 1", "not JSON", "comma"),
        ("{\n // note\n}", "line 2, column 2", "not JSON", "no comments"),
        ("{'entry': 'a.ts'}", "line 1, column 2", "not JSON", "double quotes"),
        (&deep, "line 1, column 128", "not JSON", ""),
        ("[]", "line 1, column 1", "must be an object", "{"),
        ("null", "line 1, column 1", "must be an object", "{"),
        ("{\n  \"entrys\": \"a.ts\"\n}", "line 2, column 3", "`entrys` is no key", "Did you mean `entry`?"),
        ("{\"zzz\": 1}", "line 1, column 2", "`zzz`", "The keys are $schema, entry"),
        ("{\"entry\": \"a.ts\",\n\"entry\": \"b.ts\"}", "line 2, column 1", "given twice", "one of the two"),
        ("{\"$schema\": 5}", "line 1, column 13", "`$schema` is 5", "a text"),
        ("{\"entry\": 5}", "line 1, column 11", "`entry` is 5", "src/server.ts"),
        ("{\"entry\": \"../a.ts\"}", "line 1, column 11", "`entry`", "a file of this project"),
        ("{\"entry\": \"/etc/passwd\"}", "line 1, column 11", "`entry`", "a file of this project"),
        ("{\"build\": \"--watch\"}", "line 1, column 11", "`build` is \"--watch\"", "a script in package.json"),
        ("{\"build\": \"\"}", "line 1, column 11", "`build`", "a script"),
        ("{\"health\": \"x\"}", "line 1, column 12", "`health` is \"x\"", "begins with /"),
        ("{\"health\": \"/a b\"}", "line 1, column 12", "`health`", "no spaces"),
        ("{\"idle_seconds\": 0}", "line 1, column 18", "`idle_seconds` is 0", "from 1 to 86400"),
        ("{\"idle_seconds\": 1.5}", "line 1, column 18", "is 1.5", "a whole number"),
        ("{\"idle_seconds\": -1}", "line 1, column 18", "is -1", "a whole number"),
        ("{\"idle_seconds\": 1e3}", "line 1, column 18", "is 1e3", "a whole number"),
        ("{\"idle_seconds\": \"5\"}", "line 1, column 18", "is \"5\"", "a whole number"),
        ("{\"idle_seconds\": 5, \"always_on\": true}", "line 1, column 18", "always on", "left out"),
        ("{\"freeze_seconds\": 0}", "line 1, column 20", "`freeze_seconds` is 0", "from 1 to 86400"),
        ("{\"reclaim_seconds\": 90000}", "line 1, column 21", "`reclaim_seconds` is 90000", "from 1 to 86400"),
        ("{\"background\": \"yes\"}", "line 1, column 16", "`background` is \"yes\"", "true or false"),
        ("{\"freeze_seconds\": 5, \"always_on\": true}", "line 1, column 20", "always on", "left out"),
        ("{\"background\": true, \"reclaim_seconds\": 9}", "line 1, column 41", "in the background", "left out"),
        ("{\"always_on\": 1}", "line 1, column 15", "`always_on` is 1", "true or false"),
        ("{\"always_on\": null}", "line 1, column 15", "is null", "true or false"),
        ("{\"compress\": \"no\"}", "line 1, column 14", "`compress` is \"no\"", "true or false"),
        ("{\"wake\": true}", "line 1, column 10", "`wake` is true", "an object"),
        ("{\"wake\": {\"bot\": true}}", "line 1, column 11", "no key of wake", "Did you mean `bots`?"),
        ("{\"permissions\": []}", "line 1, column 17", "`permissions` is a list", "an object"),
        ("{\"permissions\": {\n\"network\": \"none\"}}", "line 2, column 1", "no key of permissions", "mean `net`?"),
        ("{\"permissions\": {\"net\": \"all\"}}", "line 1, column 25", "`net` is \"all\"", "\"public\", or a list"),
        ("{\"permissions\": {\"net\": true}}", "line 1, column 25", "`net` is true", "\"none\", \"public\""),
        ("{\"permissions\": {\"net\": [\"a.example\",\n  5]}}", "line 2, column 3", "`net` is 5", "a list of hosts"),
        ("{\"permissions\": {\"net\": [\"https://a.example\"]}}", "line 1, column 26", "https://a.example", "hosts"),
        ("{\"permissions\": {\"net\": [\"*\"]}}", "line 1, column 26", "every host", "\"public\""),
        ("{\"permissions\": {\"net\": [\"*.com\"]}}", "line 1, column 26", "too wide", "list of hosts"),
        ("{\"permissions\": {\"net\": [\"a.example:0\"]}}", "line 1, column 26", "1 to 65535", "list of hosts"),
        ("{\"permissions\": {\"net\": [\"0x7f.1\"]}}", "line 1, column 26", "is not a host name", "list of hosts"),
        (&many, "line 1, column 23", "201 hosts", "at most 200"),
        ("{\"permissions\": {\"udp\": \"public\"}}", "line 1, column 25", "`udp` is \"public\"", "with a port"),
        ("{\"permissions\": {\"udp\": [\"a.example\"]}}", "line 1, column 26", "names no port", "with a port"),
        ("{\"permissions\": {\"net\": [\"10.0.0.1\"]}}", "line 1, column 26", "`10.0.0.1` is private", "a public host"),
        ("{\"permissions\": {\"net\": [\"localhost:1\"]}}", "line 1, column 26", "is loopback", "a public host"),
        ("{\"permissions\": {\"udp\": [\"[::1]:53\"]}}", "line 1, column 26", "is loopback", "a public host"),
        ("{\"limits\": 5}", "line 1, column 12", "`limits` is 5", "an object"),
        ("{\"limits\": {\"memory\": 5}}", "line 1, column 13", "no key of limits", "Did you mean `memory_mb`?"),
        ("{\"limits\": {\"memory_mb\": 1}}", "line 1, column 26", "`memory_mb` is 1", "from 64 to 2048"),
        ("{\"limits\": {\"memory_mb\": 4096}}", "line 1, column 26", "is 4096", "from 64 to 2048"),
        ("{\"limits\": {\"processes\": 99999999999999999999}}", "line 1, column 26", "`processes`", "from 16 to 256"),
        ("{\"limits\": {\n\n  \"disk_mb\": \"1 GB\"}}", "line 3, column 14", "is \"1 GB\"", "a whole number"),
        ("{\"entry\": \"ü\", \"x\": 1}", "line 1, column 16", "`x`", "The keys"),
    ] {
        let shown: String = text.chars().take(80).collect();
        let error = parse(text).expect_err(&shown);
        assert_eq!(error.kind, Kind::App, "{shown}");
        let begin = format!("steady.json, {place}");
        assert!(error.public.starts_with(&begin), "{shown}: {}", error.public);
        assert!(error.public.contains(why), "{shown}: {}", error.public);
        assert!(error.hint.as_deref().unwrap_or_default().contains(allowed), "{shown}: {:?}", error.hint);
        assert!(error.public.len() < 400 && !error.public.contains('\n'), "{shown}");
    }
    let error = Manifest::parse(b"{\"entry\": \"\xff\"}", &terms()).expect_err("not UTF-8");
    assert!(error.public.contains("byte 11 is not UTF-8"), "{}", error.public);
    let error = Manifest::parse(&vec![b' '; MAX + 1], &terms()).expect_err("too large");
    assert!(error.public.contains("larger than 64 KiB"), "{}", error.public);
}

#[test]
fn all_keys_are_read() {
    let text = r#"{
      "$schema": "https://steady.example/schema/steady.json",
      "entry": "src/a.ts", "build": "bundle", "health": "/up", "idle_seconds": 60,
      "permissions": { "net": ["API.example.com", "*.b.example:8443"], "udp": ["ntp.example:123"] },
      "limits": { "memory_mb": 1024, "cpu_percent": 50, "processes": 64, "disk_mb": 100, "files": 1000,
                  "tmp_mb": 16, "open_files": 512, "connections": 100 }
    }"#;
    let manifest = parse(text).expect("right");
    assert_eq!(manifest.entry.as_deref(), Some("src/a.ts"));
    assert_eq!(manifest.build.as_deref(), Some("bundle"));
    assert_eq!(manifest.health.as_deref(), Some("/up"));
    assert_eq!(manifest.idle_seconds, Some(60));
    assert_eq!(
        manifest.ask.words(),
        [
            "net: api.example.com",
            "net: *.b.example:8443",
            "udp: ntp.example:123",
            "limits: memory_mb 1024",
            "limits: cpu_percent 50",
            "limits: processes 64",
            "limits: disk_mb 100",
            "limits: files 1000",
            "limits: tmp_mb 16",
            "limits: open_files 512",
            "limits: connections 100",
        ]
    );
    assert_eq!(parse("{}").expect("empty is fine"), Manifest::default());
    assert!(parse(r#"{"always_on": true}"#).expect("right").always_on);
    let manners = |text: &str| parse(text).expect("right").manners;
    assert_eq!(manners(r#"{"compress": true, "wake": {}}"#), Manners::default());
    assert!(manners(r#"{"compress": false}"#).uncompressed);
    assert!(manners(r#"{"wake": {"bots": true}}"#).wakes_for_all);
    let rest = |text: &str| parse(text).expect("right").rest;
    let times = Rest { freeze_seconds: Some(5), reclaim_seconds: Some(9), background: false };
    assert_eq!(rest(r#"{"freeze_seconds": 5, "reclaim_seconds": 9}"#), times);
    assert_eq!(rest(r#"{"background": true}"#), Rest { background: true, ..Rest::default() });
    for none in ["[]", "\"none\""] {
        let manifest = parse(&format!("{{\"permissions\": {{\"net\": {none}}}}}")).expect(none);
        assert_eq!(manifest.ask.net, Some(Reach::None), "{none}");
    }
    assert_eq!(parse(r#"{"permissions": {"net": "public"}}"#).expect("right").ask.net, Some(Reach::Public));
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_a_manifest_or_a_message(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        if let Err(error) = Manifest::parse(&bytes, &terms()) {
            proptest::prop_assert!(error.public.starts_with("steady.json, "));
        }
    }

    #[test]
    fn any_json_is_a_manifest_or_a_message(
        key in "entry|limits|permissions|net|udp|memory_mb|\\$schema|[a-z]{1,5}",
        value in "null|true|[0-9]{1,25}|\"[^\"\\\\\\x00-\\x1f]{0,20}\"|\\[\"[a-z.:*0-9]{0,20}\"\\]|\\{\"(net|udp|memory_mb|x)\": (5|\\[\\]|\"none\")\\}",
    ) {
        match Manifest::parse(format!("{{\"{key}\": {value}}}").as_bytes(), &terms()) {
            Ok(_) => {}
            Err(error) => proptest::prop_assert!(error.public.contains("line 1, column "), "{}", error.public),
        }
    }
}

/// What the parser takes the schema takes, and what the schema knows to be wrong the parser refuses.
#[test]
fn the_schema_and_the_parser_agree() {
    let schema = schema::schema(&terms(), "https://steady.example/schema/steady.json");
    let validator = jsonschema::options().build(&schema).expect("it is a schema");
    let both = |text: &str| {
        let value: serde_json::Value = serde_json::from_str(text).expect(text);
        (validator.is_valid(&value), parse(text).is_ok())
    };
    for right in [
        "{}",
        r#"{"$schema": "x", "entry": "a.ts", "build": "b", "health": "/up", "idle_seconds": 86400}"#,
        r#"{"always_on": true}"#,
        r#"{"always_on": false, "idle_seconds": 5}"#,
        r#"{"freeze_seconds": 5, "reclaim_seconds": 86400, "background": false}"#,
        r#"{"background": true, "idle_seconds": 5}"#,
        r#"{"background": true, "always_on": true}"#,
        r#"{"permissions": {}, "limits": {}, "wake": {}}"#,
        r#"{"compress": false, "wake": {"bots": true}}"#,
        r#"{"permissions": {"net": "none"}}"#,
        r#"{"permissions": {"net": "public", "udp": []}}"#,
        r#"{"permissions": {"net": ["a.example", "*.b.example:8443", "[2001:db8::1]:443", "2001:db8::1"]}}"#,
        r#"{"permissions": {"udp": ["ntp.example:123"]}}"#,
        r#"{"limits": {"memory_mb": 2048, "cpu_percent": 5, "processes": 16, "disk_mb": 1, "files": 16,
            "tmp_mb": 1, "open_files": 64, "connections": 1}}"#,
    ] {
        assert_eq!(both(right), (true, true), "{right}");
    }
    for wrong in [
        "[]",
        r#"{"x": 1}"#,
        r#"{"entry": ""}"#,
        r#"{"build": "-x"}"#,
        r#"{"health": "up"}"#,
        r#"{"health": "/a b"}"#,
        r#"{"idle_seconds": 0}"#,
        r#"{"idle_seconds": 86401}"#,
        r#"{"idle_seconds": 1.5}"#,
        r#"{"always_on": 1}"#,
        r#"{"always_on": true, "idle_seconds": 5}"#,
        r#"{"always_on": true, "freeze_seconds": 5}"#,
        r#"{"always_on": true, "reclaim_seconds": 5}"#,
        r#"{"background": true, "freeze_seconds": 5}"#,
        r#"{"background": true, "reclaim_seconds": 5}"#,
        r#"{"background": 1}"#,
        r#"{"reclaim_seconds": 0}"#,
        r#"{"compress": 1}"#,
        r#"{"wake": {"bots": "yes"}}"#,
        r#"{"wake": {"x": true}}"#,
        r#"{"permissions": {"x": 1}}"#,
        r#"{"permissions": {"net": "all"}}"#,
        r#"{"permissions": {"net": ["https://a.example"]}}"#,
        r#"{"permissions": {"net": [5]}}"#,
        r#"{"permissions": {"udp": ["a.example"]}}"#,
        r#"{"permissions": {"udp": ["a.example:0"]}}"#,
        r#"{"limits": {"memory": 64}}"#,
        r#"{"limits": {"memory_mb": 63}}"#,
        r#"{"limits": {"memory_mb": 2049}}"#,
        r#"{"limits": {"processes": "64"}}"#,
    ] {
        assert_eq!(both(wrong), (false, false), "{wrong}");
    }
    let keys = |at: &serde_json::Value| {
        at["properties"].as_object().expect("properties").keys().cloned().collect::<std::collections::BTreeSet<_>>()
    };
    let sorted = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
    assert_eq!(keys(&schema), sorted(&KEYS));
    assert_eq!(keys(&schema["properties"]["permissions"]), sorted(&PERMISSIONS));
    assert_eq!(keys(&schema["properties"]["wake"]), sorted(&WAKE));
    assert_eq!(keys(&schema["properties"]["limits"]), sorted(&LIMITS.map(Limit::name)));
}

//! What a program asks its runtime and its machine for: each module of `tests/packages/system/` tries one thing.
use libtest_mimic::Trial;

use super::fixture::Place;

/// Module, and the JSON it must answer.
const SYSTEM: &[(&str, &str)] = &[
    ("files", r#"[["a","copy","hard","link"],"600",2000,2,["a",true],"hello there","he",false]"#),
    ("memory", r#"{"limit":1073741824,"total":true,"free":true,"own":true,"load":3,"up":true}"#),
    ("network", r#"[["lo"],["127.0.0.1/8 true","::1/128 true"],"127.0.0.1",true]"#),
    ("processors", r#"{"some":true,"same":true,"parallel":true,"whole":true}"#),
    ("programs", "[42,true,42]"),
    ("shell", r#"["one\none\ntwo\n",["","a","b","d","e","f"],1]"#),
    ("sockets", r#"["ping","ping","ping","datagram"]"#),
    ("spawn", r#"["a:hello","b:","42\n",{"from":"child"},"SIGTERM"]"#),
    ("timers", r#"[true,true,true,3,"ECONNREFUSED"]"#),
    ("user", r#"["app","/home/app",true,"/home/app","/tmp","app","linux"]"#),
    ("watch", r#""new.txt""#),
    ("workers", r#"["added",42,{"sum":3}]"#),
    (
        "zones",
        r#"["Monday, July 1, 2024 at 8:00 AM","Montag, 1. Juli 2024 um 21:00","1 234,50 €",["a","z","ä"],"string"]"#,
    ),
];

pub fn trials(place: &Place) -> Vec<Trial> {
    let trial = |(name, expected): &(&'static str, &'static str)| {
        let (place, name, expected) = (place.clone(), *name, *expected);
        Trial::test(format!("system {name}"), move || place.expect("system", name, expected))
    };
    SYSTEM.iter().map(trial).collect()
}

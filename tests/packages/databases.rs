//! Clients of databases in the jail, as jobs: real servers outside, reached as the owner's own hosts.
use std::sync::{Arc, OnceLock};

use libtest_mimic::{Failed, Trial};
use steady::base::Secret;

use super::fixture::{Place, same};
use super::servers::Server;

/// Module, and the JSON it must answer.
const CLIENTS: &[(&str, &str)] = &[
    ("bun-redis", "42"),
    ("bun-sql", r#"[{"x":"x"},{"n":42}]"#),
    ("drizzle-pg", r#"[{"id":2,"name":"b"}]"#),
    ("ioredis", r#"[[[null,"OK"],[null,42],[null,"42"]],["io-news","hello"],2000000]"#),
    ("knex", r#"[{"id":2,"name":"b"}]"#),
    ("kysely", r#"{"n":2}"#),
    ("mysql2", r#"[[{"id":1,"name":"ä"}],"ER_BAD_FIELD_ERROR"]"#),
    ("pg", r#"[[{"id":1,"data":{"a":[1,2]},"at":"1970-01-01T00:00:00.000Z"}],[2,4,6,8,10],"22012",3000000]"#),
    ("postgres", r#"[{"sum":42,"list":["a","b"]},"hello","back",null]"#),
    ("redis", r#"[{"name":"Jo","age":"7"},2,["a","b"]]"#),
];

/// Started when the first client asks for them.
#[derive(Default)]
pub struct Servers(OnceLock<Result<[Server; 3], String>>);

impl Servers {
    fn get(&self) -> Result<&[Server; 3], Failed> {
        let start = || Ok([Server::postgres()?, Server::mariadb()?, Server::redis()?]);
        self.0.get_or_init(start).as_ref().map_err(|why| Failed::from(why.as_str()))
    }
}

pub fn trials(place: &Place, servers: &Arc<Servers>) -> Vec<Trial> {
    let trial = |(name, expected): &(&'static str, &'static str)| {
        let (place, servers, name, expected) = (place.clone(), Arc::clone(servers), *name, *expected);
        let kind = if name.starts_with("bun-") { "system" } else { "package" };
        Trial::test(format!("{kind} {name}"), move || {
            let [postgres, mariadb, redis] = servers.get()?;
            let at = |scheme: &str, server: &Server, rest: &str| format!("{scheme}@localhost:{}{rest}", server.port);
            let env = [
                ("PG", at("postgres://app:secret", postgres, "/postgres")),
                ("MYSQL", at("mysql://app:secret", mariadb, "/app")),
                ("REDIS", at("redis://:secret", redis, "")),
            ];
            let env = env.map(|(name, value)| (name.to_owned(), Secret::new(value)));
            let hosts = [postgres, mariadb, redis].map(|server| format!("localhost:{}", server.port));
            let said = place.job("libs", &["bun", "job.ts", name], env.to_vec(), &hosts)?;
            same(&serde_json::from_str(said.last().map_or("", String::as_str))?, expected)
        })
    };
    CLIENTS.iter().map(trial).collect()
}

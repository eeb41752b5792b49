//! The JSON Schema of steady.json, made from the parser's own tables, with this server's limits.
use serde_json::{Map, Value, json};

use super::super::ask::Terms;
use super::super::limit::LIMITS;
use super::{IDLE, MAX_HOSTS};
use crate::runner::NO_LIMIT;

/// Where the editor's host serves it.
pub const PATH: &str = "/schema/steady.json";

/// A host rule, roughly: the parser says more.
const HOST: &str = r"^(\*\.)?[^\s/@?#*]+$";
const HOST_AND_PORT: &str = r"^(\*\.)?[^\s/@?#*]+:[1-9][0-9]{0,4}$";

/// `id` is the address it is published at.
pub fn schema(terms: &Terms, id: &str) -> Value {
    let limits: Map<String, Value> = LIMITS
        .into_iter()
        .map(|limit| {
            let own = limit.of(&terms.limits);
            let given = if own >= NO_LIMIT { "sets none by itself".to_owned() } else { format!("gives {own}") };
            let about = format!("{}. The server {given}; more needs an owner's approval.", limit.about());
            let range = json!({
                "description": about, "type": "integer", "minimum": limit.least(), "maximum": limit.of(&terms.most),
            });
            (limit.name().to_owned(), range)
        })
        .collect();
    let object = |about: &str, properties: Value| json!({ "description": about, "type": "object", "properties": properties, "additionalProperties": false });
    let hosts = |pattern: &str| json!({ "type": "array", "maxItems": MAX_HOSTS, "items": { "type": "string", "pattern": pattern } });
    let mut udp = hosts(HOST_AND_PORT);
    udp["description"] = json!("Hosts it may send UDP to, each with a port. Names are resolved without this.");
    // Which hosts these are on this server is for those who have an account.
    let mut private = hosts(HOST_AND_PORT);
    private["description"] =
        json!("Hosts of the server's own network, each with a port, that its owner opens to apps.");
    let mut schema = object(
        "What a Steady project declares of itself. Every key is optional.",
        json!({
            "$schema": { "description": "The address of this schema, for editors.", "type": "string" },
            "entry": {
                "description": "The file to run, or an .html file whose folder is the site.",
                "type": "string", "minLength": 1,
            },
            "build": {
                "description": "The package.json script to run once per version, before it starts.",
                "type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[^-]",
            },
            "health": {
                "description": "The path a new version must answer with a status below 500 before it goes live.",
                "type": "string", "maxLength": 512, "pattern": "^/[!-~]*$", "default": "/",
            },
            "idle_seconds": {
                "description": "Seconds without requests after which the app sleeps.",
                "type": "integer", "minimum": IDLE.start(), "maximum": IDLE.end(),
            },
            "freeze_seconds": {
                "description": "Seconds without requests after which the app stands still. The next request lets it go on at once.",
                "type": "integer", "minimum": IDLE.start(), "maximum": IDLE.end(),
            },
            "reclaim_seconds": {
                "description": "Seconds without requests after which the memory of an app that stands still goes to swap, where there is any.",
                "type": "integer", "minimum": IDLE.start(), "maximum": IDLE.end(),
            },
            "background": {
                "description": "The app works without being asked (timers, queues): it never stands still, and still sleeps after idle_seconds. Excludes freeze_seconds and reclaim_seconds.",
                "type": "boolean", "default": false,
            },
            "always_on": {
                "description": "Never stand still, never sleep. Excludes the three times.", "type": "boolean", "default": false,
            },
            "compress": {
                "description": "Compress responses that the app does not compress itself. false where a page shows a secret beside what a visitor wrote, and a stranger could watch its length.",
                "type": "boolean", "default": true,
            },
            "wake": object("For whom a sleeping app is woken.", json!({
                "bots": {
                    "description": "Also for scanners, health checks and the like, which otherwise get an answer without the app.",
                    "type": "boolean", "default": false,
                },
            })),
            "permissions": object("What the app may reach. More than is approved stops a deploy until an owner says yes.", json!({
                "net": {
                    "description": "Outbound connections: none, every public address, or these hosts. A host without a port means 443 and 80.",
                    "oneOf": [{ "enum": ["none", "public"] }, hosts(HOST)],
                },
                "udp": udp,
                "private": private,
            })),
            "limits": object("Bounds of the app. Less than the server's own is always fine.", Value::Object(limits)),
        }),
    );
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["$id"] = json!(id);
    schema["title"] = json!("steady.json");
    let excludes = |flag: &str, time: &str| json!({ "not": { "required": [time, flag], "properties": { flag: { "const": true } } } });
    schema["allOf"] = json!([
        excludes("always_on", "idle_seconds"),
        excludes("always_on", "freeze_seconds"),
        excludes("always_on", "reclaim_seconds"),
        excludes("background", "freeze_seconds"),
        excludes("background", "reclaim_seconds"),
    ]);
    schema
}

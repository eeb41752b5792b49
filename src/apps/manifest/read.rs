//! JSON with places: every mistake in steady.json is told with its line and column.
use jsonc_parser::ast::{Object, ObjectProp, Value};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use crate::base::name::clip;
use crate::base::{Error, Kind, Result};

/// The text of a manifest, for naming places in it.
#[derive(Clone, Copy)]
pub(super) struct Source<'a>(&'a str);

impl<'a> Source<'a> {
    /// Errors: `App`, when it is not UTF-8, not JSON, or no object.
    pub(super) fn read(bytes: &'a [u8]) -> Result<(Self, Object<'a>)> {
        let text = std::str::from_utf8(bytes).map_err(|e| wrong(&format!("byte {} is not UTF-8", e.valid_up_to())))?;
        let source = Self(text);
        // First by the strict parser, which also bounds the depth: the other one takes more than JSON.
        serde_json::from_slice::<serde_json::Value>(bytes).map_err(|e| {
            let why = e.to_string();
            let why = why.split(" at line ").next().unwrap_or(&why);
            wrong(&format!("line {}, column {}: this is not JSON: {why}", e.line(), e.column().max(1))).hint(
                "JSON has double quotes around keys and texts, no comments, and no comma before a closing bracket.",
            )
        })?;
        let parsed = parse_to_ast(text, &CollectOptions::default(), &ParseOptions::default())
            .map_err(|e| source.wrong(e.range().start, &format!("this is not JSON: {}", e.kind()), ""))?;
        match parsed.value {
            Some(Value::Object(object)) => Ok((source, object)),
            _ => Err(wrong("line 1, column 1: it must be an object").hint("Begin it with { and end it with }.")),
        }
    }

    /// `at` is an offset in bytes; `allowed` a sentence, or empty.
    pub(super) fn wrong(self, at: usize, why: &str, allowed: &str) -> Error {
        let before = self.0.get(..at).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let error = wrong(&format!("line {line}, column {column}: {why}"));
        if allowed.is_empty() { error } else { error.hint(allowed) }
    }

    /// The values of an object's keys, in the order of `known`. `what` names the object.
    /// Errors: an unknown key with the nearest known one, a key given twice.
    pub(super) fn keys<'o, const N: usize>(
        self,
        object: &'o Object<'a>,
        what: &str,
        known: [&'static str; N],
    ) -> Result<[Option<Given<'o, 'a>>; N]> {
        let mut given = [const { None }; N];
        for property in &object.properties {
            let name = property.name.as_str();
            let at = property.range.start;
            let Some(n) = known.iter().position(|key| *key == name) else {
                return Err(self.unknown(property, what, &known));
            };
            if given[n].is_some() {
                return Err(self.wrong(at, &format!("`{name}` is given twice"), "Keep one of the two."));
            }
            given[n] = Some(Given { source: self, name: known[n], value: &property.value });
        }
        Ok(given)
    }

    fn unknown(self, property: &ObjectProp<'_>, what: &str, known: &[&'static str]) -> Error {
        let name = property.name.as_str();
        let nearest = known
            .iter()
            .map(|key| (strsim::jaro_winkler(name, key), key))
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .filter(|(closeness, _)| *closeness > 0.75);
        let meant = nearest.map_or_else(String::new, |(_, key)| format!("Did you mean `{key}`? "));
        let why = format!("`{}` is no key of {what}", clip(name));
        self.wrong(property.range.start, &why, &format!("{meant}The keys are {}.", listed(known)))
    }
}

/// The value of one key, which knows how it must look.
pub(super) struct Given<'o, 'a> {
    source: Source<'a>,
    name: &'static str,
    value: &'o Value<'a>,
}

impl<'o, 'a> Given<'o, 'a> {
    /// Points at the value. `must` reads on after "must be".
    pub(super) fn refuse(&self, must: &str) -> Error {
        self.refuse_at(self.value, must)
    }

    pub(super) fn refuse_at(&self, value: &Value<'_>, must: &str) -> Error {
        let found = match value {
            Value::StringLit(text) => format!("\"{}\"", clip(&text.value)),
            Value::NumberLit(number) => clip(number.value),
            Value::BooleanLit(flag) => flag.value.to_string(),
            Value::Object(_) => "an object".to_owned(),
            Value::Array(_) => "a list".to_owned(),
            Value::NullKeyword(_) => "null".to_owned(),
        };
        let why = format!("`{}` is {found}", self.name);
        self.source.wrong(value.range().start, &why, &format!("It must be {must}."))
    }

    /// The same with words of its own for what is wrong.
    pub(super) fn because(&self, value: &Value<'_>, why: &str, must: &str) -> Error {
        let why = format!("`{}`: {why}", self.name);
        self.source.wrong(value.range().start, &why, &format!("It must be {must}."))
    }

    pub(super) fn value(&self) -> &'o Value<'a> {
        self.value
    }

    pub(super) fn text(&self, must: &str) -> Result<&'o str> {
        self.value.as_string_lit().map(|text| &*text.value).ok_or_else(|| self.refuse(must))
    }

    pub(super) fn flag(&self) -> Result<bool> {
        self.value.as_boolean_lit().map(|flag| flag.value).ok_or_else(|| self.refuse("true or false"))
    }

    pub(super) fn number(&self, least: u64, most: u64) -> Result<u64> {
        let number = self.value.as_number_lit().and_then(|number| number.value.parse().ok());
        number
            .filter(|n| (least..=most).contains(n))
            .ok_or_else(|| self.refuse(&format!("a whole number from {least} to {most}")))
    }

    pub(super) fn object(&self, must: &str) -> Result<&'o Object<'a>> {
        self.value.as_object().ok_or_else(|| self.refuse(must))
    }
}

pub(super) fn wrong(why: &str) -> Error {
    Error::new(Kind::App, format!("steady.json, {why}"))
}

fn listed(known: &[&str]) -> String {
    match known {
        [all @ .., last] if !all.is_empty() => format!("{} and {last}", all.join(", ")),
        _ => known.join(""),
    }
}

//! Whether a machine's walls are enough to serve behind, and what is said when they are not. Pure.
use super::tier::{Check, Confinement, Tier};
use crate::base::{Error, Kind, Result};

impl Confinement {
    /// `full`, `rootless`, `process-only`, or `none`.
    pub fn name(&self) -> &'static str {
        self.tier.map_or("none", Tier::name)
    }

    /// Whether this feature was looked for and is here.
    pub fn has(&self, name: &str) -> bool {
        self.checks.iter().any(|check| check.name == name && check.ok)
    }

    /// Walls and limits that are not here: `landlock: ABI 2. Use a kernel from 6.7 on`.
    pub fn missing(&self) -> Vec<String> {
        self.checks.iter().filter(|check| !check.ok && !check.is_minor()).map(said).collect()
    }

    /// What works in a lesser way, behind whole walls.
    pub fn weaker(&self) -> Vec<String> {
        self.checks.iter().filter(|check| !check.ok && check.is_minor()).map(said).collect()
    }

    /// The names alone of what is missing, for people who do not own this server: what was found has its paths.
    pub fn missing_names(&self) -> Vec<String> {
        self.checks.iter().filter(|check| !check.ok && !check.is_minor()).map(|check| check.name.to_owned()).collect()
    }

    /// Whether `steady serve` may run apps here.
    /// Errors: `Conflict` naming each missing feature. `single_tenant`: the owner wrote that all code on this
    /// server is their own.
    pub fn may_serve(&self, single_tenant: bool) -> Result<()> {
        let refuse = |why: &str, hint: String| {
            let missing: Vec<String> = self.missing().iter().map(|line| format!("  {line}")).collect();
            let list = if missing.is_empty() { String::new() } else { format!(". Missing:\n{}", missing.join("\n")) };
            Err(Error::new(Kind::Conflict, format!("{why}{list}")).hint(hint))
        };
        match self.tier {
            None => refuse(
                "this machine cannot confine programs at all, so no app may run here",
                "`steady doctor` says what to do about each.".to_owned(),
            ),
            Some(tier) if !tier.is_multi_tenant() && !single_tenant => refuse(
                &format!(
                    "this machine gives apps only the walls of the tier `{}`, which do not keep strangers' code apart",
                    tier.name()
                ),
                "`steady doctor` says what to do about each. If all code on this server is your own, write \
                 sandbox = \"single-tenant\" in steady.toml (or set STEADY_SANDBOX=single-tenant)."
                    .to_owned(),
            ),
            Some(_) => Ok(()),
        }
    }
}

fn said(check: &Check) -> String {
    let fix = if check.fix.is_empty() { String::new() } else { format!(". {}", check.fix) };
    format!("{}: {}{fix}", check.name, check.found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &'static str, ok: bool) -> Check {
        let fix = if ok { String::new() } else { format!("Mend {name}.") };
        Check { name, ok, found: format!("{name} as it is"), fix }
    }

    fn with(tier: Option<Tier>, checks: Vec<Check>) -> Confinement {
        Confinement { tier, summary: "as it is".to_owned(), checks }
    }

    #[test]
    fn strangers_are_served_behind_whole_walls_only() {
        for tier in [Tier::Full, Tier::Rootless] {
            for single in [false, true] {
                with(Some(tier), vec![check("quota", false)]).may_serve(single).expect("whole walls");
            }
        }
        let weak = with(
            Some(Tier::ProcessOnly),
            vec![check("landlock", true), check("namespaces", false), check("root", false)],
        );
        weak.may_serve(true).expect("the owner said so");
        let refused = weak.may_serve(false).expect_err("strangers");
        assert!(refused.public.contains("`process-only`"), "{}", refused.public);
        for line in ["  namespaces: namespaces as it is. Mend namespaces.", "  root: root as it is. Mend root."] {
            assert!(refused.public.contains(line), "{}", refused.public);
        }
        assert!(!refused.public.contains("landlock"), "{}", refused.public);
        assert!(refused.hint.expect("a hint").contains("sandbox = \"single-tenant\""));
    }

    #[test]
    fn what_is_no_wall_is_not_called_missing() {
        let found = with(Some(Tier::Full), vec![check("cgroup pressure", false), check("disk quota", false)]);
        assert_eq!(found.missing(), ["disk quota: disk quota as it is. Mend disk quota."]);
        assert_eq!(found.missing_names(), ["disk quota"]);
        assert!(!found.has("disk quota") && !found.has("cgroup memory") && with(None, vec![check("a", true)]).has("a"));
        assert_eq!(found.weaker(), ["cgroup pressure: cgroup pressure as it is. Mend cgroup pressure."]);
    }

    #[test]
    fn nothing_runs_without_any_walls() {
        let bare = with(None, vec![check("seccomp", false)]);
        for single in [false, true] {
            let refused = bare.may_serve(single).expect_err("no walls");
            assert!(refused.public.contains("seccomp: seccomp as it is"), "{}", refused.public);
            assert!(!refused.hint.expect("a hint").contains("single-tenant"), "it would not help");
        }
        assert_eq!((bare.name(), with(Some(Tier::Full), vec![]).name()), ("none", "full"));
    }
}

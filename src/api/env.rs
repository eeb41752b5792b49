//! The environment: names can be read, values only written.
use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};

use super::Ctx;
use super::auth::{At, Inspect, Manage};
use super::body::{JsonBody, Problem};
use super::wire::{ChangeEnv, EnvView};
use crate::apps::view::EnvName;
use crate::base::{Error, Result, Secret};

type Answer<T> = std::result::Result<T, Problem>;

pub(super) fn routes() -> Router<Ctx> {
    Router::new().route("/projects/{user}/{project}/env", get(list).patch(change))
}

async fn list(State(ctx): State<Ctx>, at: At<Inspect>) -> Answer<Json<Vec<EnvName>>> {
    Ok(Json(ctx.apps.env_names(&at.project)?))
}

async fn change(
    State(ctx): State<Ctx>,
    at: At<Manage>,
    JsonBody(change): JsonBody<ChangeEnv>,
) -> Answer<Json<EnvView>> {
    let changes = changes(change)?;
    let apps = ctx.apps.clone();
    let project = at.project.clone();
    let version = ctx.finish("api env", async move { apps.env_change(&at.actor, &at.project, changes).await }).await?;
    let names = ctx.apps.env_names(&project)?.into_iter().map(|one| one.name).collect();
    Ok(Json(EnvView { version, names }))
}

fn changes(change: ChangeEnv) -> Result<Vec<(String, Option<Secret<String>>)>> {
    if change.set.is_empty() && change.unset.is_empty() {
        return Err(Error::bad_input("nothing to set or unset was named"));
    }
    if let Some(name) = change.unset.iter().find(|name| change.set.contains_key(*name)) {
        let name = crate::base::name::clip(name);
        return Err(Error::bad_input(format!("`{name}` is both to be set and to be unset")));
    }
    let set = change.set.into_iter().map(|(name, value)| (name, Some(value)));
    Ok(set.chain(change.unset.into_iter().map(|name| (name, None))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_sets_and_unsets_each_name_once() {
        let of = |text: &str| changes(serde_json::from_str(text).unwrap());
        let both = of(r#"{"set":{"A":"1"},"unset":["B"]}"#).unwrap();
        assert_eq!(both, [("A".to_owned(), Some(Secret::new("1".to_owned()))), ("B".to_owned(), None)]);
        assert!(of("{}").is_err());
        assert!(of(r#"{"set":{"A":"1"},"unset":["A"]}"#).is_err());
    }
}

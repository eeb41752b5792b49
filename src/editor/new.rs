//! `/new`: a project from a template or a git URL.
use askama::Template;
use axum::extract::{Form, Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::Ctx;
use super::login::{status_of, told};
use super::security::Failed;
use super::visit::{Shell, Visit, html_as};
use crate::apps::template::{TEMPLATES, Template as Kind};
use crate::apps::{NewProject, Source};
use crate::base::{AppName, Error, Progress, ProjectName, Result};

#[derive(Template)]
#[template(path = "new.html")]
pub struct NewPage {
    pub shell: Shell,
    pub templates: &'static [Kind],
    pub form: Wanted,
    /// `localhost:8080`: what follows an app's label.
    pub apps_host: String,
    pub error: Option<(String, Option<String>)>,
}

#[derive(Default, Deserialize)]
pub struct Wanted {
    /// A template's name, or `git`.
    #[serde(default)]
    pub template: String,
    #[serde(default)]
    pub git: String,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub host: String,
}

pub async fn page(State(ctx): State<Ctx>, Query(form): Query<Wanted>, visit: Visit) -> Result<Response, Failed> {
    visit.user()?;
    show(&ctx, &visit, form, None)
}

pub async fn create(State(ctx): State<Ctx>, visit: Visit, Form(form): Form<Wanted>) -> Result<Response, Failed> {
    let actor = visit.user()?;
    let wanted = match parse(&form) {
        Ok(wanted) => wanted,
        Err(e) => return show(&ctx, &visit, form, Some(&e)),
    };
    match ctx.apps.create(actor, wanted, &Progress::silent()).await {
        Ok(project) => Ok(Redirect::to(&format!("/{}/edit", project.path)).into_response()),
        Err(e) => show(&ctx, &visit, form, Some(&e)),
    }
}

fn show(ctx: &Ctx, visit: &Visit, mut form: Wanted, error: Option<&Error>) -> Result<Response, Failed> {
    if form.template.is_empty() {
        form.template = TEMPLATES[0].name.to_owned();
    }
    let page = NewPage {
        shell: visit.shell("New project"),
        templates: TEMPLATES,
        form,
        apps_host: ctx.apps.options().apps_host.clone(),
        error: error.map(told),
    };
    html_as(status_of(error), &page)
}

fn parse(form: &Wanted) -> Result<NewProject> {
    let source = match form.template.as_str() {
        "git" if form.git.trim().is_empty() => return Err(Error::bad_input("there is no git URL to import from")),
        "git" => Source::GitUrl(form.git.trim().to_owned()),
        name if TEMPLATES.iter().any(|t| t.name == name) => Source::Template(name.to_owned()),
        _ => return Err(Error::bad_input("there is no such template").hint("Choose one of the cards.")),
    };
    Ok(NewProject { name: named(&form.name, ProjectName::parse)?, host: named(&form.host, AppName::parse)?, source })
}

/// An empty field leaves the choice to Steady.
pub fn named<T>(text: &str, parse: impl Fn(&str) -> Result<T>) -> Result<Option<T>> {
    let text = text.trim();
    if text.is_empty() { Ok(None) } else { parse(text).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(template: &str, git: &str, name: &str) -> Wanted {
        Wanted { template: template.into(), git: git.into(), name: name.into(), host: " ".into() }
    }

    #[test]
    fn forms_become_projects_or_are_refused() {
        assert!(parse(&wanted("hello", "", "")).unwrap().name.is_none());
        assert!(
            matches!(parse(&wanted("git", " https://x/y ", "")).unwrap().source, Source::GitUrl(u) if u == "https://x/y")
        );
        assert!(parse(&wanted("git", "", "")).is_err());
        assert!(parse(&wanted("../etc", "", "")).is_err());
        assert!(parse(&wanted("hello", "", "Not a name")).is_err());
    }
}

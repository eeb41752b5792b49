//! `/USER/PROJECT/settings`: environment, names, domains, members, who may read the code, deletion.
use askama::Template;
use axum::extract::{Form, Path, State};
use axum::response::Response;
use serde::Deserialize;

use super::login::{status_of, told};
use super::new::named;
use super::project::Head;
use super::security::Failed;
use super::visit::{At, Shell, Visit, done, html_as, moved};
use super::{Ctx, domains, show};
use crate::accounts::{Action, Role};
use crate::apps::Project;
use crate::apps::domain::DomainView;
use crate::apps::door::Access;
use crate::apps::view::{DoorView, EnvName, Member, PermissionsView};
use crate::base::{AppName, Error, ProjectName, Result, Secret, UserName};

#[derive(Template)]
#[template(path = "project/settings.html")]
pub struct Settings {
    pub shell: Shell,
    pub head: Head,
    pub env: Vec<EnvName>,
    pub members: Vec<Member>,
    pub permissions: PermissionsView,
    pub domains: Vec<DomainView>,
    pub door: DoorView,
    /// A link just made: shown once.
    pub fresh_link: Option<String>,
    pub host: String,
    pub apps_host: String,
    pub error: Option<(String, Option<String>)>,
}

/// What the page offers, in its order.
const ACCESS: [(Access, &str); 5] = [
    (Access::Public, "Everybody"),
    (Access::Members, "Members of this project"),
    (Access::Users, "Everybody with an account here"),
    (Access::Password, "Who knows the password"),
    (Access::Links, "Only who has a link"),
];

/// One variable set, or one unset.
#[derive(Deserialize)]
pub struct EnvForm {
    name: String,
    #[serde(default)]
    value: Option<Secret<String>>,
    #[serde(default)]
    unset: Option<String>,
}

#[derive(Deserialize)]
pub struct RenameForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    host: String,
}

#[derive(Deserialize)]
pub struct CodeForm {
    #[serde(default)]
    public: Option<String>,
}

#[derive(Deserialize)]
pub struct MemberForm {
    user: String,
    /// `viewer`, `deployer`, `owner`, or `remove`.
    role: String,
}

#[derive(Deserialize)]
pub struct DeleteForm {
    #[serde(default)]
    confirm: String,
}

pub async fn page(State(ctx): State<Ctx>, Path(at): Path<At>, visit: Visit) -> Result<Response, Failed> {
    let project = visit.project(&ctx, &at, Action::Inspect)?;
    if let Some(elsewhere) = moved(&at, &project, "/settings") {
        return Ok(elsewhere);
    }
    show_page(&ctx, &visit, &project, None, None)
}

pub fn show_page(
    ctx: &Ctx,
    visit: &Visit,
    project: &Project,
    fresh_link: Option<String>,
    error: Option<&Error>,
) -> Result<Response, Failed> {
    let page = Settings {
        shell: visit.shell(format!("Settings of {}", project.path)),
        head: Head::of(ctx, visit, project, "settings")?,
        env: ctx.apps.env_names(project)?,
        members: ctx.apps.members(project)?,
        permissions: ctx.apps.permissions(project)?,
        domains: ctx.apps.domains(project)?,
        door: ctx.apps.door(project)?,
        fresh_link,
        host: project.host.to_string(),
        apps_host: ctx.apps.options().apps_host.clone(),
        error: error.map(told),
    };
    html_as(status_of(error), &page)
}

/// Back to the settings: with a sentence when it went well, with the error when not.
pub fn after(ctx: &Ctx, visit: &Visit, project: &Project, result: Result<&str>) -> Result<Response, Failed> {
    match result {
        Ok(code) => Ok(done(&format!("/{}/settings", project.path), code)),
        Err(e) => show_page(ctx, visit, project, None, Some(&e)),
    }
}

pub async fn env(
    State(ctx): State<Ctx>,
    Path(at): Path<At>,
    visit: Visit,
    Form(form): Form<EnvForm>,
) -> Result<Response, Failed> {
    let project = visit.project(&ctx, &at, Action::Manage)?;
    let value =
        if form.unset.is_some() { None } else { Some(form.value.unwrap_or_else(|| Secret::new(String::new()))) };
    let changed = ctx.apps.env_change(visit.user()?, &project, vec![(form.name.trim().to_owned(), value)]).await;
    after(&ctx, &visit, &project, changed.map(|_| "env"))
}

pub async fn rename(
    State(ctx): State<Ctx>,
    Path(at): Path<At>,
    visit: Visit,
    Form(form): Form<RenameForm>,
) -> Result<Response, Failed> {
    let project = visit.project(&ctx, &at, Action::Manage)?;
    let changed = async {
        let name = named(&form.name, ProjectName::parse)?.filter(|n| *n != project.path.project);
        let host = named(&form.host, AppName::parse)?.filter(|h| *h != project.host);
        if name.is_none() && host.is_none() {
            return Err(Error::bad_input("neither name is different"));
        }
        ctx.apps.rename(&project, name, host).await
    };
    match changed.await {
        Ok(renamed) => after(&ctx, &visit, &renamed, Ok("renamed")),
        Err(e) => after(&ctx, &visit, &project, Err(e)),
    }
}

pub async fn public_code(
    State(ctx): State<Ctx>,
    Path(at): Path<At>,
    visit: Visit,
    Form(form): Form<CodeForm>,
) -> Result<Response, Failed> {
    let project = visit.project(&ctx, &at, Action::Manage)?;
    let public = form.public.is_some();
    let changed = ctx.apps.set_public_code(&project, public);
    after(&ctx, &visit, &project, changed.map(|()| if public { "code-public" } else { "code-private" }))
}

pub async fn members(
    State(ctx): State<Ctx>,
    Path(at): Path<At>,
    visit: Visit,
    Form(form): Form<MemberForm>,
) -> Result<Response, Failed> {
    let project = visit.project(&ctx, &at, Action::Manage)?;
    let changed = UserName::parse(form.user.trim()).and_then(|user| {
        let role = match form.role.as_str() {
            "viewer" => Some(Role::Viewer),
            "deployer" => Some(Role::Deployer),
            "owner" => Some(Role::Owner),
            "remove" => None,
            _ => return Err(Error::bad_input("there is no such role").hint("Use viewer, deployer or owner.")),
        };
        ctx.apps.set_member(&project, &user, role)
    });
    after(&ctx, &visit, &project, changed.map(|()| "members"))
}

pub async fn revoke(State(ctx): State<Ctx>, Path(at): Path<At>, visit: Visit) -> Result<Response, Failed> {
    let project = visit.project(&ctx, &at, Action::Manage)?;
    let revoked = ctx.apps.revoke(visit.user()?, &project).await;
    after(&ctx, &visit, &project, revoked.map(|_| "revoked-all"))
}

pub async fn delete(
    State(ctx): State<Ctx>,
    Path(at): Path<At>,
    visit: Visit,
    Form(form): Form<DeleteForm>,
) -> Result<Response, Failed> {
    let project = visit.project(&ctx, &at, Action::Manage)?;
    if form.confirm.trim() != project.path.project.as_str() {
        let e = Error::bad_input("the name typed is not the project's name").hint("Nothing was deleted.");
        return after(&ctx, &visit, &project, Err(e));
    }
    ctx.apps.delete(visit.user()?, &project).await?;
    Ok(done("/trash", "deleted"))
}

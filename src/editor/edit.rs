//! `/USER/PROJECT/edit`: the editing page. The open file's text is in the HTML, so it can be read before
//! (and without) any script.
use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::security::Failed;
use super::visit::{At, Shell, Visit, blocking, html, moved};
use super::{Ctx, show};
use crate::accounts::Action;
use crate::apps::view::{AppStatus, FileView, Workspace};

#[derive(Deserialize)]
pub struct Asked {
    file: Option<String>,
}

#[derive(Template)]
#[template(path = "edit.html")]
pub struct EditPage {
    pub shell: Shell,
    pub status: AppStatus,
    pub path: String,
    pub open: Option<FileView>,
    pub may_edit: bool,
    /// What the scripts begin with.
    pub boot: String,
}

/// What the scripts begin with.
#[derive(Serialize)]
pub struct Boot<'a> {
    pub project: &'a str,
    pub workspace: &'a Workspace,
    pub open: &'a Option<FileView>,
    #[serde(rename = "mayEdit")]
    pub may_edit: bool,
    pub live: bool,
    pub url: &'a str,
}

pub async fn page(
    State(ctx): State<Ctx>,
    Path(at): Path<At>,
    Query(asked): Query<Asked>,
    visit: Visit,
) -> Result<Response, Failed> {
    let project = visit.project(&ctx, &at, Action::View)?;
    if let Some(elsewhere) = moved(&at, &project, "/edit") {
        return Ok(elsewhere);
    }
    let (apps, actor, of) = (ctx.apps.clone(), visit.user()?.clone(), project.clone());
    let (workspace, open, status) = blocking(move || {
        let workspace = apps.workspace(&actor, &of)?;
        let open = match first_file(&workspace, asked.file.as_deref()) {
            Some(path) => Some(apps.file(&of, &workspace.commit, path)?),
            None => None,
        };
        Ok((workspace, open, apps.status(&of)?))
    })
    .await?;
    let may_edit = visit.may(&ctx, &project, Action::Edit);
    let path = project.path.to_string();
    let boot = show::json(&Boot {
        project: &path,
        workspace: &workspace,
        open: &open,
        may_edit,
        live: status.version.is_some(),
        url: &status.url,
    });
    html(&EditPage { shell: visit.shell(format!("Edit {path}")), status, path, open, may_edit, boot })
}

/// The file asked for, else the one a newcomer wants to see.
fn first_file<'a>(workspace: &'a Workspace, asked: Option<&'a str>) -> Option<&'a str> {
    let has = |path: &str| workspace.files.iter().find(|f| f.path == path).map(|f| f.path.as_str());
    let usual = ["index.ts", "index.tsx", "index.js", "index.html", "src/index.ts", "README.md"];
    asked
        .and_then(has)
        .or_else(|| workspace.conflicts.first().map(String::as_str))
        .or_else(|| usual.into_iter().find_map(has))
        .or_else(|| workspace.files.first().map(|f| f.path.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_file_is_the_one_wanted() {
        let mut workspace = super::super::tests::workspace();
        assert_eq!(first_file(&workspace, None), Some("index.ts"));
        assert_eq!(first_file(&workspace, Some("package.json")), Some("package.json"));
        assert_eq!(first_file(&workspace, Some("../etc/passwd")), Some("index.ts"));
        workspace.files.clear();
        assert_eq!(first_file(&workspace, Some("x")), None);
    }
}

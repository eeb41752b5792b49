//! Create a project: from a template, from a git URL, by fork, or empty for a first push.
use super::template;
use super::{Apps, NewProject, Project, Source, names};
use crate::accounts::{Action, Actor, Via};
use crate::base::fs::remove_tree;
use crate::base::{AppName, Error, Kind, Progress, ProjectName, Result, ResultExt as _};
use crate::git::{Identity, Repo};
use crate::store::{Connection, apps, projects};

/// How many projects one user (not an admin) may have.
const PER_USER: usize = 200;
const PER_GUEST: usize = 5;

impl Apps {
    /// The project belongs to whoever asks. Its app is not live before the first deploy.
    /// Errors: `Conflict` for taken names, `BadInput` for an unknown template, and what an import says.
    /// The act goes on to its end even when the caller goes away.
    pub async fn create(&self, who: &Actor, new: NewProject, progress: &Progress) -> Result<Project> {
        let (apps, who, progress) = (self.clone(), who.clone(), progress.clone());
        self.tasks()
            .spawn("create", async move { apps.create_now(&who, new, &progress).await })
            .await
            .internal("while creating a project")?
    }

    async fn create_now(&self, who: &Actor, new: NewProject, progress: &Progress) -> Result<Project> {
        if let Via::Token { scopes, project, .. } = &who.via
            && (project.is_some() || !scopes.iter().any(|s| *s != crate::accounts::Scope::Read))
        {
            return Err(Error::forbidden("this token may not create projects").hint("Make one with the scope `write`."));
        }
        let fork_of = match &new.source {
            Source::Fork(path) => Some(self.find(Some(who), path, Action::View)?),
            _ => None,
        };
        let files = match &new.source {
            Source::Template(name) => Some(template::files(name).ok_or_else(|| unknown_template(name))?),
            _ => None,
        };
        let id = self.insert(who, &new)?;
        let made = self.fill(id, who, &new.source, fork_of, files, progress).await;
        let row = self.store().read(|db| projects::by_id(db, id))?;
        if let Err(error) = made {
            // Half a project is none: the row and what is on disk go again.
            let now = self.clock().now();
            self.store()
                .write(|db| projects::set_deleted(db, &row, Some(now)).and_then(|()| projects::purge(db, id)))?;
            remove_tree(&self.dir().repo(id)).internal("while undoing a creation")?;
            return Err(error);
        }
        let project = self.project_of(row)?;
        self.route_live(&project)?;
        Ok(project)
    }

    /// The rows: project, app, host label, in one transaction.
    fn insert(&self, who: &Actor, new: &NewProject) -> Result<i64> {
        let now = self.clock().now();
        self.store().write(|db| {
            let count = projects::list(db, Some(who.user.id))?.iter().filter(|p| p.owner_id == who.user.id).count();
            let most = if who.user.guest { PER_GUEST } else { PER_USER };
            if !who.user.admin && count >= most {
                return Err(Error::new(
                    Kind::TooMany,
                    format!("you already have {count} projects, which is the limit"),
                )
                .hint("Delete one first."));
            }
            let (name, host) = match &new.name {
                Some(name) => (name.clone(), self.host_for(db, new, name)?),
                None => {
                    let host = free_host(db)?;
                    (ProjectName::parse(host.as_str())?, new.host.clone().unwrap_or(host))
                }
            };
            let id = projects::insert(db, who.user.id, &name, who.user.expires, now)?;
            projects::forget_redirect(db, who.user.id, &name)?;
            apps::insert(db, id, &host, now)?;
            Ok(id)
        })
    }

    /// The host label asked for; else the project's own name where it is free and allowed; else a made-up one.
    fn host_for(&self, db: &Connection, new: &NewProject, name: &ProjectName) -> Result<AppName> {
        if let Some(host) = &new.host {
            return Ok(host.clone());
        }
        match AppName::parse(name.as_str()) {
            Ok(host) if apps::host_is_free(db, &host)? => Ok(host),
            _ => free_host(db),
        }
    }

    async fn fill(
        &self,
        id: i64,
        who: &Actor,
        source: &Source,
        fork_of: Option<Project>,
        files: Option<Vec<(String, Vec<u8>)>>,
        progress: &Progress,
    ) -> Result<()> {
        match (source, fork_of, files) {
            (Source::GitUrl(url), ..) => {
                let (repos, url, progress) = (self.repos().clone(), url.clone(), progress.clone());
                let import = move || repos.import(id, &url, &progress).map(drop);
                tokio::task::spawn_blocking(import).await.internal("while importing")?
            }
            (Source::Fork(_), Some(from), _) => {
                let (repos, from) = (self.repos().clone(), from.id);
                tokio::task::spawn_blocking(move || repos.fork(from, id).map(drop)).await.internal("while forking")?
            }
            (Source::Template(name), _, Some(files)) => {
                let repo = self.repos().create(id)?;
                self.first_commit(&repo, who, name, files)
            }
            _ => self.repos().create(id).map(drop),
        }
    }

    fn first_commit(&self, repo: &Repo, who: &Actor, template: &str, files: Vec<(String, Vec<u8>)>) -> Result<()> {
        let files: Vec<_> = files.into_iter().map(|(path, bytes)| (path.into(), bytes, false)).collect();
        let tree = repo.tree_from(&files)?;
        let commit = repo.commit(tree, &[], &self.identity(who), &format!("Start from the template {template}"))?;
        repo.set_ref("refs/heads/main", None, Some(commit), "created")
    }

    /// Who is written into commits made here. The address exists nowhere: Steady knows none.
    pub(super) fn identity(&self, who: &Actor) -> Identity {
        let name = who.user.nickname.clone().unwrap_or_else(|| who.user.name.to_string());
        Identity { name, email: format!("{}@users.steady.invalid", who.user.name), at: self.clock().now() }
    }
}

fn free_host(db: &Connection) -> Result<AppName> {
    for _ in 0..20 {
        let host = AppName::parse(&names::generate())?;
        if apps::host_is_free(db, &host)? {
            return Ok(host);
        }
    }
    Err(Error::new(Kind::Busy, "no free name was found").hint("Choose a host name yourself."))
}

fn unknown_template(name: &str) -> Error {
    let known: Vec<&str> = template::TEMPLATES.iter().map(|t| t.name).collect();
    Error::bad_input(format!("there is no template `{}`", crate::base::name::clip(name)))
        .hint(format!("Choose one of {}.", known.join(", ")))
}

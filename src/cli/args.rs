//! What can be typed. The forms in `tests` are fixed: people's scripts stand on them.
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::{access, cert, domain, env, maintenance, members, snapshot, token};

#[derive(Debug, Parser)]
#[command(
    name = "steady",
    version,
    about = "A home for TypeScript apps: editor, git host, runner and data in one binary"
)]
#[command(max_term_width = 100, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

const CLIENT: &str = "Talking to a server";
const MACHINE: &str = "On the server's own machine";

#[derive(Args, Clone, Debug, Default)]
pub struct Global {
    /// Print machine-readable JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// The server to talk to, such as http://localhost:8080
    #[arg(long, global = true, env = "STEADY_URL", value_name = "URL", help_heading = CLIENT)]
    pub url: Option<String>,
    /// The token to show it (safer: STEADY_TOKEN, or `steady login`)
    #[arg(long, global = true, env = "STEADY_TOKEN", value_name = "TOKEN", hide_env_values = true, help_heading = CLIENT)]
    pub token: Option<String>,
    /// Which project, when the command line does not name it
    #[arg(long, global = true, value_name = "USER/PROJECT", help_heading = CLIENT)]
    pub app: Option<String>,
    /// The server's data folder: all it knows is in there
    #[arg(long, global = true, value_name = "DIR", help_heading = MACHINE)]
    pub data: Option<PathBuf>,
    /// The server's settings file, else ./steady.toml or /etc/steady/steady.toml
    #[arg(long, global = true, value_name = "FILE", help_heading = MACHINE)]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server
    Serve(Serve),
    /// Look what this machine can do for Steady, and what is missing; ends with 1 when something needed is
    Doctor,
    /// Show the root certificate of `tls = "local"`, and how to trust it
    Ca,
    /// Show the server's settings
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Add and list users, on the server's own machine
    #[command(subcommand)]
    User(UserVerb),
    /// Make, list and revoke tokens, on the server's own machine
    #[command(subcommand)]
    Token(token::Verb),

    /// Sign in to a server: asks for a token, or reads it from a pipe, and keeps it
    Login {
        /// The server, such as http://localhost:8080
        server: Option<String>,
        /// Read the token from standard input, whatever STEADY_TOKEN says
        #[arg(long)]
        token_stdin: bool,
    },
    /// Forget the token of a server
    Logout,
    /// Who the token belongs to
    Whoami,

    /// Make a project
    Create(Create),
    /// List your projects
    List {
        /// Every project of the server, for its admins
        #[arg(long)]
        all: bool,
    },
    /// Clone a project with git; later pulls and pushes are signed in by `steady`
    Clone {
        #[arg(value_name = "USER/PROJECT")]
        project: String,
        dir: Option<PathBuf>,
    },
    /// Make this folder stand for a project
    Link {
        #[arg(value_name = "USER/PROJECT")]
        project: String,
    },
    /// Deploy a folder, no git needed
    Deploy(Deploy),
    /// Go back to an earlier deploy
    Rollback {
        #[command(flatten)]
        app: App,
        /// The number of the deploy to go back to; without it, the good one before the live one
        #[arg(long, value_name = "N")]
        to: Option<i64>,
    },
    /// List the deploys and how they went
    Deploys {
        #[command(flatten)]
        app: App,
        #[arg(short, default_value_t = 20, value_name = "N")]
        n: usize,
    },
    /// Take, list, restore and pin snapshots of an app's data
    #[command(subcommand)]
    Snapshot(snapshot::Verb),
    /// Say yes to what a waiting deploy asks for, and deploy it
    Approve {
        #[command(flatten)]
        app: App,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
        /// Take back everything that was approved instead
        #[arg(long)]
        revoke: bool,
    },
    /// Show what a project may do, what waits for approval, and who approved what
    Permissions(App),
    /// Show an app's URL, state, version, limits and permissions
    Status(App),
    /// Show an app's log
    Logs {
        #[command(flatten)]
        app: App,
        /// Keep printing new lines
        #[arg(short, long)]
        follow: bool,
        /// How many lines
        #[arg(short, default_value_t = 100, value_name = "N")]
        n: usize,
    },
    /// Show an app's newest requests
    Requests {
        #[command(flatten)]
        app: App,
        #[arg(short, default_value_t = 50, value_name = "N")]
        n: usize,
    },
    /// Open an app in the browser
    Open(App),
    /// Set, unset and list environment variables
    #[command(subcommand)]
    Env(env::Verb),
    /// Stop an app; its next request starts it anew
    Restart(App),
    /// Refuse an app's requests until `resume`
    Pause(App),
    /// Undo `pause`
    Resume(App),
    /// Give a project another name, or its app another host name
    Rename {
        /// [USER/PROJECT] NEW-NAME
        #[arg(num_args = 0..=2, value_name = "NAME")]
        names: Vec<String>,
        /// The app's new host name
        #[arg(long)]
        host: Option<String>,
    },
    /// Delete a project; it can be recovered for a week
    Delete {
        #[command(flatten)]
        app: App,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Bring a deleted project back; without a name, list those that can be
    Recover {
        #[arg(value_name = "USER/PROJECT")]
        project: Option<String>,
    },
    /// Download a project: code, data and history in one .tar.gz
    Export {
        #[command(flatten)]
        app: App,
        /// The file to write; `-` for standard output
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Show and change who may come to an app
    #[command(subcommand)]
    Access(access::Verb),
    /// Take an app down for maintenance, and bring it back
    #[command(subcommand)]
    Maintenance(maintenance::Verb),
    /// Show and change who may use a project
    #[command(subcommand)]
    Members(members::Verb),
    /// Give an app domains of its own
    #[command(subcommand)]
    Domain(domain::Verb),
    /// Show the server's certificates
    #[command(subcommand)]
    Cert(cert::Verb),

    /// Answers git when it asks for credentials
    #[command(hide = true)]
    Credential { action: String },
}

/// The project a command is about.
#[derive(Args, Debug)]
pub struct App {
    /// The project; without it --app, this folder's link, or its git remote
    #[arg(value_name = "USER/PROJECT")]
    pub project: Option<String>,
}

#[derive(Args, Debug, Default)]
#[command(after_help = "\
All settings, these flags among them, can stand in steady.toml or the environment (STEADY_DOMAIN=…);
`steady config default` lists them. The first start prints a link that creates the first owner.")]
pub struct Serve {
    /// Address and port to listen on, such as 0.0.0.0:80
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = address)]
    pub listen: Option<SocketAddr>,
    /// Apps live at NAME.HOST
    #[arg(long, value_name = "HOST")]
    pub domain: Option<String>,
    /// The editor's host, when it is not the domain itself
    #[arg(long, value_name = "HOST")]
    pub editor_domain: Option<String>,
    /// The Bun program to run apps with, instead of the one inside Steady
    #[arg(long, value_name = "FILE")]
    pub bun: Option<PathBuf>,
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "give an address and a port, like 127.0.0.1:8080, 0.0.0.0:80 or [::1]:8080")
}

#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
    /// Print the default settings file, with comments
    Default,
    /// Print the settings that would be used
    Show,
}

#[derive(Debug, Subcommand)]
pub enum UserVerb {
    /// Add a user
    Add {
        name: String,
        /// May do everything on this server
        #[arg(long)]
        admin: bool,
        /// Read the password from standard input, up to the end of the line
        #[arg(long)]
        password_stdin: bool,
    },
    /// List users
    List,
}

#[derive(Args, Debug)]
pub struct Create {
    /// The project's name; made up when not given
    pub name: Option<String>,
    /// Begin with a template: hello, hono, elysia, jsx, sqlite, chat, static
    #[arg(long, group = "source")]
    pub template: Option<String>,
    /// Begin with a public git repository
    #[arg(long, group = "source", value_name = "URL")]
    pub git: Option<String>,
    /// Begin with a copy of another project
    #[arg(long, group = "source", value_name = "USER/PROJECT")]
    pub fork: Option<String>,
    /// The app's host name; the project's when not given
    #[arg(long)]
    pub host: Option<String>,
}

#[derive(Args, Debug)]
pub struct Deploy {
    /// The folder to deploy
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// What changed, in a line
    #[arg(long, short)]
    pub message: Option<String>,
    /// Fail instead of making a project that does not exist yet
    #[arg(long)]
    pub no_create: bool,
    /// As an owner, say yes to whatever steady.json asks for
    #[arg(long)]
    pub approve: bool,
    /// Deploy this commit, already on the server, instead of a folder
    #[arg(long, conflicts_with = "dir")]
    pub commit: Option<String>,
}

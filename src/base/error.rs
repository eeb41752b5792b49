//! One error for the whole program, with two readers: `public` (and `hint`) for the person who asked,
//! `source` for the log. Engines never name an HTTP status; `http::problem` maps [`Kind`] to one.
use std::fmt;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of failure it is, in terms any face (HTML, JSON, git, CLI) can render.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request itself is wrong: a bad name, a missing field, a broken file.
    BadInput,
    /// Nobody is signed in, or the token is wrong.
    Unauthorized,
    /// Somebody is signed in, and may not do this.
    Forbidden,
    NotFound,
    /// The world moved: a name is taken, a branch advanced, a version is gone.
    Conflict,
    TooLarge,
    TooMany,
    /// Cannot be served now; trying again later may work.
    Busy,
    TimedOut,
    /// An owner has to say yes first: a version asks for more than is approved.
    Unapproved,
    /// The app itself failed (did not start, died, broke the protocol).
    App,
    /// Steady's own fault. `public` never carries details of these.
    Internal,
}

pub struct Error {
    pub kind: Kind,
    /// One sentence: what failed, on what.
    pub public: String,
    /// One sentence: what to do next.
    pub hint: Option<String>,
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub fn new(kind: Kind, public: impl Into<String>) -> Self {
        Self { kind, public: public.into(), hint: None, source: None }
    }
    pub fn bad_input(public: impl Into<String>) -> Self {
        Self::new(Kind::BadInput, public)
    }
    pub fn not_found(public: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, public)
    }
    pub fn conflict(public: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, public)
    }
    pub fn forbidden(public: impl Into<String>) -> Self {
        Self::new(Kind::Forbidden, public)
    }
    pub fn app(public: impl Into<String>) -> Self {
        Self::new(Kind::App, public)
    }
    /// An internal failure that has no underlying cause value.
    pub fn internal(what: impl Into<String>) -> Self {
        Self::new(Kind::Internal, what)
    }
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.public)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.public)?;
        let mut cause: Option<&(dyn std::error::Error + 'static)> =
            self.source.as_deref().map(|e| e as &(dyn std::error::Error + 'static));
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}

/// Turning a cause into an [`Error`] is always explicit: there is no blanket `From`.
pub trait ResultExt<T> {
    /// Steady's own fault: `.internal("while reading the key file")`.
    fn internal(self, what: impl Into<String>) -> Result<T>;
    /// Somebody else's: pick the kind and the sentence.
    fn or_error(self, kind: Kind, public: impl Into<String>) -> Result<T>;
}

impl<T, E: Into<Box<dyn std::error::Error + Send + Sync>>> ResultExt<T> for std::result::Result<T, E> {
    fn internal(self, what: impl Into<String>) -> Result<T> {
        self.or_error(Kind::Internal, what)
    }
    fn or_error(self, kind: Kind, public: impl Into<String>) -> Result<T> {
        self.map_err(|cause| Error::new(kind, public).because(cause))
    }
}

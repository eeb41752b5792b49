//! Users, sessions, tokens, invitations.
use serde::Serialize;

use crate::base::{Millis, UserName};

/// Who signs in. A guest has no password and a nickname, and its things expire.
#[derive(Clone, Debug, Serialize)]
pub struct User {
    pub id: i64,
    pub name: UserName,
    pub admin: bool,
    pub guest: bool,
    pub nickname: Option<String>,
    pub created: Millis,
    /// A guest's last moment.
    pub expires: Option<Millis>,
}

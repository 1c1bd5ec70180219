//! Builds the rustls configurations of one generation, and checks them with handshakes before it is published.

mod base_config;
mod candidate;
mod cert_resolver;
mod client_config;
mod duplicate_names;
mod enabled_versions;
mod generation;
mod generations_alive;
mod refusal;
mod self_check;
mod session_scope;
mod sessions;
mod unit_content;

pub(crate) use base_config::{BaseConfig, check_template};
pub(crate) use candidate::Candidate;
pub(crate) use duplicate_names::DuplicateName;
pub(crate) use generation::{Generation, GenerationInfo};
pub(crate) use generations_alive::GenerationsAlive;
pub(crate) use unit_content::{AbsentUnit, UnitContent, UnitContents};

/// Functions of this module that the fuzz targets call.
#[cfg(fuzzing)]
pub(crate) mod fuzzing {
    pub(crate) use super::sessions::ticket;
}

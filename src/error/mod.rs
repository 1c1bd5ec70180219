//! Errors: a cause, the stage at which it occurred, and the path of the file.
//!
//! The texts are for operators (G24): what is wrong, in plain words, and what to do where that is known. They do not
//! say which generation is served after the failure: `events::event` adds that.

mod cause;
mod position;
mod stage;
mod system;

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub(crate) use cause::{Cause, Incidental};
pub(crate) use position::Position;
use stage::Stage;
pub(crate) use system::system_error_in_words;

/// A failure: its cause, its file if there is one, and context for the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Error {
    pub(crate) cause: Cause,
    pub(crate) path: Option<Arc<Path>>,
    context: Option<Arc<Context>>,
}

/// Context for the message of a failure. It is behind a pointer to keep `Result` small.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Context {
    /// An addition to the message, for example which privileges the process gave up before a file was unreadable.
    Explanation(String),
    /// The C function that failed. An options setter that fails makes the later open fail with the same error, and
    /// only this name says which call was wrong (G22).
    Function(&'static str),
}

impl Error {
    /// Returns whether both have the same cause and path, whatever else the messages say.
    pub(crate) fn has_same_cause(&self, other: &Self) -> bool {
        self.cause == other.cause && self.path == other.path
    }

    /// Creates a failure without a file.
    pub(crate) fn new(cause: Cause) -> Self {
        Self { cause, path: None, context: None }
    }

    /// Creates the failure that the parameter `name` is NULL.
    pub(crate) fn null(name: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Cause::NullParameter(name.into()))
    }

    /// Creates the failure of an invalid parameter.
    pub(crate) fn invalid(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Cause::InvalidParameter(reason.into()))
    }

    /// Creates a failure of the file at `path`.
    pub(crate) fn at(path: &Path, cause: impl Into<Cause>) -> Self {
        Self { path: Some(path.into()), ..Self::new(cause.into()) }
    }

    /// Adds an explanation at the end of the message, after those that it has.
    pub(crate) fn with_explanation(mut self, explanation: Option<String>) -> Self {
        let Some(text) = explanation else { return self };
        let text = match self.context.as_deref() {
            Some(Context::Explanation(earlier)) => format!("{earlier}; {text}"),
            Some(Context::Function(_)) | None => text,
        };
        self.context = Some(Arc::new(Context::Explanation(text)));
        self
    }

    /// Returns the failure without its explanation.
    pub(crate) fn without_explanation(&self) -> Self {
        Self { context: None, ..self.clone() }
    }

    /// Adds the name of the C function that failed, for an error that a later call returns again.
    pub(crate) fn in_call(mut self, function: &'static str) -> Self {
        self.context = Some(Arc::new(Context::Function(function)));
        self
    }

    /// Creates the failure of a system call that concerns no file. `what` says what did not work, for the message.
    pub(crate) fn system(what: &'static str, error: &io::Error) -> Self {
        Self::new(Cause::System { what, reason: system_error_in_words(error) })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let context = self.context.as_deref();
        if let Some(Context::Function(function)) = context {
            write!(f, "{function}: ")?;
        }
        if let Some(path) = &self.path {
            write!(f, "{}: ", path.display())?;
        }
        match self.cause.stage() {
            Stage::Call => write!(f, "{}", self.cause)?,
            stage => write!(f, "{} ({stage})", self.cause)?,
        }
        match context {
            Some(Context::Explanation(text)) => write!(f, "; {text}"),
            Some(Context::Function(_)) | None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

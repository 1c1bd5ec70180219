//! The two roles of an identity.

/// The side of a connection that presents an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Role {
    /// The server. If no identity has the client role, the first one is also presented as a client, provided that its
    /// extended key usage allows client authentication.
    #[default]
    Server,
    /// The client only.
    Client,
}

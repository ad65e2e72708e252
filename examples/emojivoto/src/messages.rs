//! The messages of `proto/`, written by hand: that needs no protobuf compiler.

use prost::Message;

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Emoji {
    #[prost(string, tag = "1")]
    pub(crate) unicode: String,
    #[prost(string, tag = "2")]
    pub(crate) shortcode: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct ListAllEmojiRequest {}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct ListAllEmojiResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) list: Vec<Emoji>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct FindByShortcodeRequest {
    #[prost(string, tag = "1")]
    pub(crate) shortcode: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct FindByShortcodeResponse {
    /// Unset if there is none.
    #[prost(message, optional, tag = "1")]
    pub(crate) emoji: Option<Emoji>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct VoteRequest {}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct VoteResponse {}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct ResultsRequest {}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct ResultsResponse {
    /// The most votes first.
    #[prost(message, repeated, tag = "1")]
    pub(crate) results: Vec<VotingResult>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct VotingResult {
    #[prost(string, tag = "1")]
    pub(crate) shortcode: String,
    #[prost(int32, tag = "2")]
    pub(crate) votes: i32,
}

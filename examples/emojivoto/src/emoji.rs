//! The `emoji` service: what there is to vote for.

use crate::{
    catalogue::{self, CATALOGUE, Entry},
    grpc::{self, Client},
    messages::{
        Emoji, FindByShortcodeRequest, FindByShortcodeResponse, ListAllEmojiRequest,
        ListAllEmojiResponse,
    },
    serve,
};
use axum::{
    Router,
    extract::{Path, Request},
    response::Response,
    routing::post,
};
use tonic::Status;

/// Its full name.
pub(crate) const SERVICE: &str = "emojivoto.v1.EmojiService";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    listen: serve::Grpc,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    serve::serve("emoji", args.listen.port(), router()).await
}

pub(crate) fn router() -> Router {
    Router::new().route(&format!("/{SERVICE}/{{method}}"), post(answer))
}

async fn answer(Path(method): Path<String>, req: Request) -> Response {
    match method.as_str() {
        "ListAll" => {
            grpc::unary(req, |ListAllEmojiRequest {}| {
                let list = CATALOGUE.iter().map(Emoji::from).collect();
                Ok(ListAllEmojiResponse { list })
            })
            .await
        }
        "FindByShortcode" => {
            grpc::unary(req, |FindByShortcodeRequest { shortcode }| {
                let emoji = catalogue::by_shortcode(&shortcode).map(Emoji::from);
                Ok(FindByShortcodeResponse { emoji })
            })
            .await
        }
        other => grpc::unimplemented(other),
    }
}

impl From<&Entry> for Emoji {
    fn from(entry: &Entry) -> Self {
        Self {
            unicode: entry.unicode.to_owned(),
            shortcode: entry.shortcode.to_owned(),
        }
    }
}

/// The service, as others call it.
#[derive(Clone, Debug)]
pub(crate) struct Emojis(Client);

impl Emojis {
    /// At `host`, a host and a port.
    pub(crate) fn at(host: &str) -> anyhow::Result<Self> {
        Ok(Self(Client::new(SERVICE, host)?))
    }

    pub(crate) async fn list(&self) -> Result<Vec<Emoji>, Status> {
        let answer = self.0.call("ListAll", ListAllEmojiRequest {});
        let ListAllEmojiResponse { list } = answer.await?;
        Ok(list)
    }

    pub(crate) async fn find(&self, shortcode: &str) -> Result<Option<Emoji>, Status> {
        let shortcode = shortcode.to_owned();
        let answer = self
            .0
            .call("FindByShortcode", FindByShortcodeRequest { shortcode });
        let FindByShortcodeResponse { emoji } = answer.await?;
        Ok(emoji)
    }
}

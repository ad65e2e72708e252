use super::diagnostic::Place;
use http::Method;
use std::borrow::Cow;

/// The parts of an OpenAPI document that a profile is made of.
#[derive(Debug, Default)]
pub(super) struct Document<'t> {
    /// The value of `swagger` or `openapi`.
    pub(super) version: Option<(Place, Scalar<'t>)>,
    /// True if the version's key is `swagger`, as before OpenAPI 3.
    pub(super) is_swagger: bool,
    pub(super) base_path: Option<(Place, Scalar<'t>)>,
    pub(super) server: Option<Server<'t>>,
    /// Absent if the document has no `paths`.
    pub(super) paths: Option<Paths<'t>>,
    /// Reusable responses that say whether they are failures.
    pub(super) failures: Failures<'t>,
    /// The names of all members, for the message to whom gave us something else.
    pub(super) members: Vec<Cow<'t, str>>,
}

/// The members of `paths` in the order of the document.
#[derive(Debug, Default)]
pub(super) struct Paths<'t>(pub(super) Vec<(Key<'t>, PathItem<'t>)>);

#[derive(Clone, Debug, Default)]
pub(super) struct PathItem<'t> {
    pub(super) reference: Option<(Place, Cow<'t, str>)>,
    pub(super) server: Option<Server<'t>>,
    pub(super) policy: Policy<'t>,
    /// By [`METHODS`].
    pub(super) operations: [Option<Operation<'t>>; METHODS.len()],
    /// Operations of other methods, in the order of the document.
    pub(super) additional: Additional<'t>,
}

impl<'t> PathItem<'t> {
    /// Returns each operation with its method as requests write it.
    pub(super) fn operations(&self) -> impl Iterator<Item = (String, &Operation<'t>)> {
        let fixed = self.operations.iter().zip(METHODS);
        let fixed =
            fixed.filter_map(|(o, method)| Some((method.to_ascii_uppercase(), o.as_ref()?)));
        let additional = self.additional.0.iter();
        fixed.chain(additional.map(|(method, operation)| (method.to_string(), operation)))
    }
}

/// The value of `additionalOperations`: operations by HTTP method.
#[derive(Clone, Debug, Default)]
pub(super) struct Additional<'t>(pub(super) Vec<(Method, Operation<'t>)>);

/// The methods that are members of a path, in the order of a profile's routes.
pub(super) const METHODS: [&str; 9] = [
    "delete", "get", "head", "options", "patch", "post", "put", "query", "trace",
];

#[derive(Clone, Debug, Default)]
pub(super) struct Operation<'t> {
    pub(super) server: Option<Server<'t>>,
    pub(super) policy: Policy<'t>,
    pub(super) responses: Vec<(Key<'t>, Response<'t>)>,
}

/// The `x-linkerd-` extensions of an operation, or of all operations of a path.
#[derive(Clone, Debug, Default)]
pub(super) struct Policy<'t> {
    pub(super) retryable: Option<bool>,
    pub(super) timeout: Option<(Place, Cow<'t, str>)>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Response<'t> {
    pub(super) reference: Option<(Place, Cow<'t, str>)>,
    pub(super) failure: Option<bool>,
}

/// The first of a list of servers.
#[derive(Clone, Debug, Default)]
pub(super) struct Server<'t> {
    pub(super) place: Place,
    pub(super) url: Option<Cow<'t, str>>,
    pub(super) variables: Vec<(Cow<'t, str>, Cow<'t, str>)>,
}

/// The reusable responses of a document by name, with their `x-linkerd-failure`.
#[derive(Debug, Default)]
pub(super) struct Failures<'t>(pub(super) Vec<(Cow<'t, str>, Option<bool>)>);

/// The name of a member and its place.
#[derive(Clone, Debug)]
pub(super) struct Key<'t> {
    pub(super) text: Cow<'t, str>,
    pub(super) place: Place,
}

/// A value that is no object and no list.
#[derive(Debug)]
pub(super) enum Scalar<'t> {
    Bool(bool),
    Text(Cow<'t, str>),
    Number(String),
    /// `null`, or an object or list after all.
    Other,
}

impl<'t> Scalar<'t> {
    /// Returns text or a number as text. YAML reads an unquoted version as a number.
    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Number(number) => Some(number),
            _ => None,
        }
    }

    /// Converts to text, like [`as_text`](Self::as_text).
    pub(super) fn into_text(self) -> Option<Cow<'t, str>> {
        match self {
            Self::Text(text) => Some(text),
            Self::Number(number) => Some(number.into()),
            _ => None,
        }
    }
}

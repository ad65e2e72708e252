use super::{parameters, schemas::Schemas};
use crate::{
    Applied, ApplyRequest, CanariesRequest, CanaryCommanded, CanaryDetail, CanaryRow, CheckReport,
    CheckRequest, Destination, DestinationRequest, EdgeRow, EdgesRequest, Fault, FaultsRequest,
    ManifestKind, ManifestList, NewFault, Question, RouteTable, RoutesRequest, StatRequest,
    StatTable, TapRequest, Version, VersionRequest, WorkloadChange,
};
use schemars::JsonSchema;
use serde_json::{Value, json};

/// One method of one path.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: String,
    id: &'static str,
    summary: &'static str,
    parameters: Vec<Value>,
    body: Option<Value>,
    /// Status and content of the answer.
    answer: (u16, Option<Value>),
}

impl Operation {
    fn new(
        method: &'static str,
        path: impl Into<String>,
        id: &'static str,
        summary: &'static str,
    ) -> Self {
        let path = path.into();
        Self {
            method,
            parameters: parameters::path(&path),
            path,
            id,
            summary,
            body: None,
            answer: (204, None),
        }
    }

    fn asks<Q: Question + JsonSchema>(id: &'static str, summary: &'static str) -> Self {
        Self::new("get", Q::PATH, id, summary).with_query::<Q>()
    }

    fn with_query<Q: JsonSchema>(mut self) -> Self {
        self.parameters.extend(parameters::query::<Q>());
        self
    }

    fn takes(mut self, content_type: &str, schema: &Value) -> Self {
        self.body = Some(content(content_type, schema));
        self
    }

    fn answers(self, schema: &Value) -> Self {
        self.answers_as("application/json", schema)
    }

    fn answers_as(mut self, content_type: &str, schema: &Value) -> Self {
        self.answer = (200, Some(content(content_type, schema)));
        self
    }

    /// Returns the operation as OpenAPI has it, with `refused` as its response to errors.
    pub(super) fn into_value(self, refused: &Value) -> Value {
        let (status, content) = self.answer;
        let mut answer = json!({ "description": "It is done." });
        if let Some(content) = content {
            answer = json!({ "description": "The answer.", "content": content });
        }
        let mut operation = json!({
            "operationId": self.id,
            "summary": self.summary,
            "responses": { status.to_string(): answer, "default": refused },
        });
        if !self.parameters.is_empty() {
            operation["parameters"] = self.parameters.into();
        }
        if let Some(content) = self.body {
            operation["requestBody"] = json!({ "required": true, "content": content });
        }
        operation
    }
}

fn content(content_type: &str, schema: &Value) -> Value {
    json!({ content_type: { "schema": schema } })
}

/// Returns every operation of the API.
pub(super) fn operations(schemas: &mut Schemas) -> Vec<Operation> {
    let mut all = questions(schemas);
    all.extend(resources(schemas));
    all.extend(changes(schemas));
    all
}

fn questions(schemas: &mut Schemas) -> Vec<Operation> {
    let event = json!({ "type": "string", "description": "A line of JSON for each event, until the client closes." });
    vec![
        Operation::asks::<VersionRequest>(
            "version",
            "Version, process and addresses of the controller",
        )
        .answers(&schemas.answer::<Version>()),
        Operation::asks::<CheckRequest>("check", "The controller's findings about the mesh")
            .answers(&schemas.answer::<CheckReport>()),
        Operation::asks::<StatRequest>("stat", "Success, rate and latency of resources")
            .answers(&schemas.answer::<Vec<StatTable>>()),
        Operation::asks::<RoutesRequest>("routes", "Success, rate and latency of routes")
            .answers(&schemas.answer::<Vec<RouteTable>>()),
        Operation::asks::<EdgesRequest>("edges", "Which resources call which")
            .answers(&schemas.answer::<Vec<EdgeRow>>()),
        Operation::asks::<TapRequest>("tap", "Requests as they happen")
            .answers_as("application/x-ndjson", &event),
        Operation::asks::<DestinationRequest>(
            "destination",
            "What a sidecar is told of an authority",
        )
        .answers(&schemas.answer::<Destination<Value>>()),
        Operation::asks::<FaultsRequest>("listFaults", "Faults that are injected now")
            .answers(&schemas.answer::<Vec<Fault>>()),
        Operation::asks::<CanariesRequest>("listCanaries", "Canary releases")
            .answers(&schemas.answer::<Vec<CanaryRow>>()),
        Operation::new(
            "get",
            format!("{}/{{namespace}}/{{name}}", CanariesRequest::PATH),
            "canary",
            "A canary release with its history",
        )
        .answers(&schemas.answer::<CanaryDetail>()),
    ]
}

fn resources(schemas: &mut Schemas) -> Vec<Operation> {
    let base = ManifestKind::PATH;
    let list = schemas.answer::<ManifestList<Value>>();
    let applied = schemas.answer::<Vec<Applied>>();
    let text = json!({ "type": "string", "description": "Manifests in YAML or JSON." });
    let one = format!("{base}/{{kind}}/{{namespace}}/{{name}}");
    vec![
        Operation::new("put", base, "apply", "Applies manifests, all or none")
            .with_query::<ApplyRequest>()
            .takes("application/yaml", &text)
            .answers(&applied),
        Operation::new(
            "get",
            format!("{base}/{{kind}}"),
            "listResources",
            "Resources of a kind",
        )
        .answers(&list),
        Operation::new(
            "get",
            format!("{base}/{{kind}}/{{namespace}}"),
            "listNamespacedResources",
            "Resources of a kind in a namespace",
        )
        .answers(&list),
        Operation::new("get", &*one, "resource", "One resource").answers(&list),
        Operation::new("delete", one, "deleteResource", "Deletes a resource"),
    ]
}

fn changes(schemas: &mut Schemas) -> Vec<Operation> {
    let workload = schemas.body::<WorkloadChange>();
    vec![
        Operation::new("post", FaultsRequest::PATH, "addFault", "Injects a fault")
            .takes("application/json", &schemas.body::<NewFault>())
            .answers(&schemas.answer::<Fault>()),
        Operation::new(
            "delete",
            format!("{}/{{id}}", FaultsRequest::PATH),
            "removeFault",
            "Removes a fault",
        ),
        Operation::new(
            "post",
            format!(
                "{}/{{namespace}}/{{name}}/{{command}}",
                CanariesRequest::PATH
            ),
            "commandCanary",
            "Gives a canary release a command: promote, abort, pause or resume",
        )
        .answers(&schemas.answer::<CanaryCommanded>()),
        Operation::new(
            "patch",
            format!("{}/{{namespace}}/{{name}}", WorkloadChange::PATH),
            "changeWorkload",
            "Changes what runs of a workload",
        )
        .takes("application/json", &workload)
        .answers(&schemas.answer::<WorkloadChange>()),
    ]
}

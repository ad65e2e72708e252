use super::{
    convert::status,
    diagnostic::Diagnostics,
    document::{Document, METHODS},
};

/// Takes out what Swagger 2.0 does not know, or what Linkerd does not read of it: what is made of
/// such a document stays, to the byte, what Linkerd makes of it.
pub(super) fn restrict(document: &mut Document<'_>, diagnostics: &Diagnostics<'_>) {
    let lost = |place, what: &str| {
        diagnostics.warn(place, format!("{what} counts in OpenAPI 3 only"));
    };
    if let Some(server) = document.server.take() {
        lost(server.place, "`servers`");
    }
    for (key, item) in document.paths.iter_mut().flat_map(|paths| &mut paths.0) {
        if let Some((place, _)) = item.reference.take() {
            lost(place, "`$ref` of a path");
        }
        if let Some(server) = item.server.take() {
            lost(server.place, "`servers`");
        }
        let policy = std::mem::take(&mut item.policy);
        if policy.retryable.is_some() {
            lost(key.place, "`x-linkerd-retryable` of a path");
        }
        if policy.timeout.is_some() {
            lost(key.place, "`x-linkerd-timeout` of a path");
        }
        if !std::mem::take(&mut item.additional).0.is_empty() {
            lost(key.place, "`additionalOperations`");
        }
        for (operation, method) in item.operations.iter_mut().zip(METHODS) {
            if ["query", "trace"].contains(&method) && operation.take().is_some() {
                lost(key.place, &format!("method `{method}`"));
            }
            let Some(operation) = operation else { continue };
            if let Some(server) = operation.server.take() {
                lost(server.place, "`servers`");
            }
            operation.responses.retain(|(key, _)| {
                let is_range = status(&key.text).is_some_and(|range| range.min < range.max);
                if is_range {
                    lost(key.place, &format!("response `{}`", key.text));
                }
                !is_range
            });
        }
    }
}

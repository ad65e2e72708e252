/// A commented ServiceProfile to begin with, for `service` in `namespace`.
pub fn template(service: &str, namespace: &str, cluster_domain: &str) -> String {
    format!(
        r#"### The profile of {service} in {namespace}: which requests are of which route, and what
### holds for them. Edit it, then: mesh apply -f FILE
apiVersion: linkerd.io/v1alpha2
kind: ServiceProfile
metadata:
  # The full name of the service.
  name: {service}.{namespace}.svc.{cluster_domain}
  # The service's namespace; or that of a client, to hold for its requests alone.
  namespace: {namespace}
spec:
  # A request is of the first route whose condition holds; of [DEFAULT] if none does.
  routes:
  - name: /authors/{{id}} # what tables, metrics and tap call the route

    # Which requests. Members of one condition hold together. Also:
    #   all: [...]   every one of these conditions
    #   any: [...]   at least one of them
    #   not: {{...}}   not this one
    condition:
      pathRegex: '/authors/\d+' # the whole path, without the query
      method: POST

    # How responses count: the first condition that holds decides; if none does, gRPC statuses
    # that blame the service and HTTP statuses from 500 up are failures. all, any, not work here
    # too.
    responseClasses:
    - condition:
        status: # one bound alone is that one code
          min: 500
          max: 599
      isFailure: true

    # Whether a request may be sent again after a failure.
    # isRetryable: true

    # How long callers wait for the response to begin, retries included; without it, no limit.
    # timeout: 300ms

  # How much load retries may add, for all routes together. These are the defaults.
  # retryBudget:
  #   retryRatio: 0.2          # retries for each request
  #   minRetriesPerSecond: 10  # and these in any case
  #   ttl: 10s                 # over this time; 1s to 60s
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ServiceProfileManifest;

    #[test]
    fn the_template_is_a_valid_manifest_with_and_without_its_comments() {
        let text = template("authors", "booksapp", "cluster.local");
        let all = ServiceProfileManifest::read_all(&text, "template").unwrap();
        assert_eq!(
            all[0].service(),
            Some(("authors", "booksapp", "cluster.local"))
        );

        let text = text
            .replace("# isRetryable", "isRetryable")
            .replace("# timeout", "timeout")
            .replace("  # retryBudget", "  retryBudget")
            .replace("  #   retryRatio", "    retryRatio")
            .replace("  #   minRetries", "    minRetries")
            .replace("  #   ttl", "    ttl");
        let all = ServiceProfileManifest::read_all(&text, "template").unwrap();
        assert!(all[0].spec.retry_budget.is_some());
        assert!(all[0].spec.routes[0].is_retryable);
        assert!(all[0].spec.routes[0].timeout.is_some());
    }
}

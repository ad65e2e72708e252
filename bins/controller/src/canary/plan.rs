//! Plans of the Canaries that can be driven here.

use mesh_canary::Plan;
use mesh_control::model::Canary;

/// Returns the plan of a resource that was admitted.
///
/// # Errors
///
/// The reason why it cannot be driven here.
pub(crate) fn plan(canary: &Canary) -> Result<Plan, String> {
    let resource = canary.resource();
    let mut plan = Plan::try_from(&resource).map_err(|error| error.to_string())?;
    if !plan.matches.is_empty() {
        return Err(
            "spec.analysis.match: A/B analysis needs routing by header, which is not supported \
                    yet: use weights or iterations"
                .to_owned(),
        );
    }
    if plan.mirror.is_some() {
        return Err("spec.analysis.mirror: mirroring is not supported yet".to_owned());
    }
    if plan.affinity.is_some() {
        return Err("spec.analysis.sessionAffinity: it is not supported yet".to_owned());
    }
    // Without it, a deleted Canary would leave its target without replicas.
    plan.revert_on_deletion = true;
    Ok(plan)
}

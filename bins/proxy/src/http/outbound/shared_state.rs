use mesh_retry::Budget;
use mesh_split::SharedCounter;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

/// What the workers' stacks of one destination share: the two things that are made for it.
#[derive(Debug, Default)]
pub(crate) struct Joint {
    /// So that the law of the budget holds for the proxy, not for each worker.
    pub(crate) budget: Budget,
    /// So that proportions are exact for the proxy.
    pub(crate) counter: SharedCounter,
}

/// The [`Joint`]s by name of the destination.
#[derive(Debug, Default)]
pub(crate) struct Joints(Mutex<HashMap<Arc<str>, Weak<Joint>>>);

impl Joints {
    /// What the destination called `name` shares; it lives as long as one worker holds it.
    pub(crate) fn of(&self, name: &Arc<str>) -> Arc<Joint> {
        let mut joints = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(joint) = joints.get(name).and_then(Weak::upgrade) {
            return joint;
        }
        joints.retain(|_, joint| joint.strong_count() > 0);
        let joint = Arc::default();
        joints.insert(name.clone(), Arc::downgrade(&joint));
        joint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_share_and_what_nobody_holds_is_forgotten() {
        let joints = Joints::default();
        let name: Arc<str> = "books:7002".into();
        let (one, two) = (joints.of(&name), joints.of(&name));
        assert!(Arc::ptr_eq(&one, &two));
        drop((one, two));
        let other = joints.of(&"authors:7001".into());
        assert_eq!(joints.0.lock().unwrap().len(), 1);
        drop(other);
    }
}

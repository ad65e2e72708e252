//! The profiles that count, each compiled once for all answers.

use crate::model::{Object, Reference, Resource, ServiceProfile};
use mesh_profile::{Profile, TypedProfile};
use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

/// The profiles that count, by reference.
#[derive(Debug, Default)]
pub(super) struct Profiles(HashMap<Reference, Arc<DeclaredProfile>>);

impl Profiles {
    pub(super) fn get(&self, reference: &Reference) -> Option<&Arc<DeclaredProfile>> {
        self.0.get(reference)
    }

    /// Replaces the profile that counts under `reference`. Returns the new one, not yet compiled.
    pub(super) fn set(
        &mut self,
        reference: &Reference,
        new: Option<&Object>,
    ) -> Option<Arc<DeclaredProfile>> {
        let Some(Object::Resource(Resource::ServiceProfile(resource))) = new else {
            self.0.remove(reference);
            return None;
        };
        let declared = Arc::new(DeclaredProfile {
            resource: resource.clone(),
            typed: OnceLock::new(),
        });
        self.0.insert(reference.clone(), declared.clone());
        Some(declared)
    }
}

/// A profile as it is declared, and its valid parts in typed form.
#[derive(Debug)]
pub(super) struct DeclaredProfile {
    resource: Arc<ServiceProfile>,
    typed: OnceLock<Arc<TypedProfile>>,
}

impl DeclaredProfile {
    pub(super) fn reference(&self) -> Reference {
        Resource::ServiceProfile(self.resource.clone()).reference()
    }

    /// The valid parts. The first call compiles the profile, which takes up to milliseconds, and
    /// logs a warning for each invalid part.
    pub(super) fn typed(&self) -> &Arc<TypedProfile> {
        self.typed.get_or_init(|| {
            let ServiceProfile {
                namespace,
                name,
                spec,
                ..
            } = &*self.resource;
            let (profile, flaws) = Profile::compile_lenient((**spec).clone());
            for flaw in flaws {
                tracing::warn!(%namespace, profile = %name, %flaw, "part of a profile is ignored");
            }
            Arc::new(profile.declared().clone())
        })
    }
}

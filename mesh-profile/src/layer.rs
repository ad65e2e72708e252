use crate::profile::Profile;
use http::Request;
use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};
use tower_layer::Layer;
use tower_service::Service;

/// Tags each request with its [`Route`](crate::Route), for the layers below.
///
/// It overwrites a route that is already there: in a program that is server and client, that one
/// belongs to the request that came in.
#[derive(Clone, Debug)]
pub struct ProfileLayer {
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Fixed(Profile),
    Watched(ProfileHandle),
}

impl ProfileLayer {
    /// Uses `profile` as it is.
    pub fn new(profile: Profile) -> Self {
        Self {
            source: Source::Fixed(profile),
        }
    }

    /// Uses what `handle` holds whenever a request comes.
    pub fn watch(handle: ProfileHandle) -> Self {
        Self {
            source: Source::Watched(handle),
        }
    }
}

impl<S> Layer<S> for ProfileLayer {
    type Service = Profiled<S>;

    fn layer(&self, inner: S) -> Profiled<S> {
        let (profile, version, handle) = match &self.source {
            Source::Fixed(profile) => (profile.clone(), 0, None),
            Source::Watched(handle) => {
                let (profile, version) = handle.read();
                (profile, version, Some(handle.clone()))
            }
        };
        Profiled {
            inner,
            profile,
            version,
            handle,
        }
    }
}

/// A profile that can be replaced while services use it; clones share it.
///
/// A request compares a version number, and takes the lock only when the profile has changed.
#[derive(Clone)]
pub struct ProfileHandle(Arc<Shared>);

struct Shared {
    version: AtomicU64,
    profile: Mutex<Profile>,
}

impl ProfileHandle {
    /// Holds `profile` until another is set.
    pub fn new(profile: Profile) -> Self {
        Self(Arc::new(Shared {
            version: AtomicU64::new(0),
            profile: Mutex::new(profile),
        }))
    }

    /// Replaces the profile for every request from now on.
    pub fn set(&self, profile: Profile) {
        let mut current = self.lock();
        *current = profile;
        // Within the lock, so that a version is never paired with an older profile.
        self.0.version.fetch_add(1, Ordering::Release);
    }

    /// The profile now.
    pub fn get(&self) -> Profile {
        self.lock().clone()
    }

    fn read(&self) -> (Profile, u64) {
        let profile = self.lock();
        (profile.clone(), self.0.version.load(Ordering::Acquire))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Profile> {
        self.0
            .profile
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ProfileHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProfileHandle").field(&self.get()).finish()
    }
}

/// The service of [`ProfileLayer`].
#[derive(Clone, Debug)]
pub struct Profiled<S> {
    inner: S,
    profile: Profile,
    version: u64,
    handle: Option<ProfileHandle>,
}

impl<S> Profiled<S> {
    fn refresh(&mut self) {
        if let Some(handle) = &self.handle
            && handle.0.version.load(Ordering::Acquire) != self.version
        {
            (self.profile, self.version) = handle.read();
        }
    }
}

impl<S> Profiled<S> {
    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, to change it.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service, without this one.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B> Service<Request<B>> for Profiled<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut req: Request<B>) -> S::Future {
        self.refresh();
        let route = self
            .profile
            .route_for(req.method(), req.uri().path())
            .clone();
        req.extensions_mut().insert(route);
        self.inner.call(req)
    }
}

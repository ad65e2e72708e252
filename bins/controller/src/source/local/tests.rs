use super::*;
use crate::resource::{Body, Outcome};
use mesh_api::ManifestKind;
use mesh_control::source::ResourceStore;
use mesh_local::atomic;
use tempfile::TempDir;

const NAME: &str = "web.shop.svc.cluster.local";

fn manifest(route: &str) -> String {
    format!(
        "apiVersion: linkerd.io/v1alpha2\nkind: ServiceProfile\nmetadata:\n  name: {NAME}\nspec:\n  \
         routes:\n  - name: {route}\n    condition: {{method: GET}}\n"
    )
}

fn resource(route: &str) -> Manifest {
    let mut all = admit::read(&manifest(route), "test", "shop", "cluster.local").unwrap();
    all.remove(0).resource
}

struct Mesh {
    root: TempDir,
    local: Local,
}

impl Mesh {
    fn new() -> Self {
        Self::over(tempfile::tempdir().unwrap())
    }

    fn over(root: TempDir) -> Self {
        let index = Index::new("cluster.local");
        let local = Local::open(StateDir::new(root.path()), index.clone()).unwrap();
        local.start(index.sink()).unwrap();
        Self { root, local }
    }

    /// A new controller over the same folder, the old one having been killed.
    fn restart(self) -> Self {
        Self::over(self.root)
    }

    fn file(&self) -> PathBuf {
        let folder = self.root.path().join("resources/shop/serviceprofiles");
        fs::create_dir_all(&folder).unwrap();
        folder.join(format!("{NAME}.yaml"))
    }

    fn edit(&self, text: &str) {
        fs::write(self.file(), text).unwrap();
    }

    /// Long enough for a change to settle.
    fn look(&self) {
        self.local.tick();
        self.local.tick();
    }

    fn route(&self) -> Option<String> {
        let key = Key::new(ManifestKind::ServiceProfile, "shop", NAME);
        let resource = self.local.0.index.resource(&Reference::from(&key))?;
        let Body::ServiceProfile(spec) = Manifest::from(&resource).body else {
            panic!("the key is of a ServiceProfile");
        };
        Some(spec.routes.first()?.name.clone())
    }

    fn rejected(&self) -> Vec<String> {
        let rejections = self.local.0.index.rejections();
        rejections.iter().map(ToString::to_string).collect()
    }
}

#[test]
fn a_file_written_by_hand_is_picked_up_once_it_has_settled() {
    let mesh = Mesh::new();
    mesh.edit(&manifest("a"));
    mesh.local.tick();
    assert_eq!(mesh.route(), None);
    mesh.local.tick();
    assert_eq!(mesh.route().as_deref(), Some("a"));
}

#[test]
fn an_invalid_edit_is_rejected_with_its_place_and_the_last_good_one_stays() {
    let mesh = Mesh::new();
    mesh.edit(&manifest("a"));
    mesh.look();
    mesh.edit(&manifest("b").replace("name: b", "nam: b"));
    mesh.look();
    assert_eq!(mesh.route().as_deref(), Some("a"));
    let place = format!("{NAME}.yaml:7:5: unknown field `nam`");
    assert!(mesh.rejected()[0].contains(&place), "{:?}", mesh.rejected());

    let mesh = mesh.restart();
    assert_eq!(mesh.route().as_deref(), Some("a"));
    assert_eq!(mesh.rejected().len(), 1);

    mesh.edit(&manifest("c"));
    mesh.look();
    assert_eq!(mesh.route().as_deref(), Some("c"));
    assert!(mesh.rejected().is_empty());
}

#[test]
fn a_file_removed_deletes_but_not_at_the_first_sight_of_its_absence() {
    let mesh = Mesh::new();
    mesh.edit(&manifest("a"));
    mesh.look();
    fs::remove_file(mesh.file()).unwrap();
    mesh.local.tick();
    assert_eq!(mesh.route().as_deref(), Some("a"));
    mesh.edit(&manifest("b"));
    mesh.look();
    assert_eq!(mesh.route().as_deref(), Some("b"));

    fs::remove_file(mesh.file()).unwrap();
    mesh.look();
    assert_eq!(mesh.route(), None);
    assert_eq!(mesh.restart().route(), None);
}

#[tokio::test]
async fn what_is_put_is_in_force_and_outlives_the_controller() {
    let mesh = Mesh::new();
    let put = async |route: &str| mesh.local.put(vec![resource(route).into()]).await.unwrap();
    assert_eq!(put("a").await, [Outcome::Created]);
    assert_eq!(put("a").await, [Outcome::Unchanged]);
    assert_eq!(put("b").await, [Outcome::Configured]);
    assert_eq!(mesh.route().as_deref(), Some("b"));
    mesh.look();
    assert!(mesh.rejected().is_empty());

    let mesh = mesh.restart();
    assert_eq!(mesh.route().as_deref(), Some("b"));
    let key = Reference::from(&resource("b").key);
    assert!(mesh.local.delete(key.clone()).await.unwrap());
    assert!(!mesh.local.delete(key).await.unwrap());
    assert_eq!(mesh.route(), None);
    assert_eq!(mesh.restart().route(), None);
}

#[tokio::test]
async fn putting_what_holds_repairs_a_file_that_does_not() {
    let mesh = Mesh::new();
    mesh.local.put(vec![resource("a").into()]).await.unwrap();
    mesh.edit("nonsense");
    mesh.look();
    assert_eq!(mesh.rejected().len(), 1);
    let outcomes = mesh.local.put(vec![resource("a").into()]).await.unwrap();
    assert_eq!(outcomes, [Outcome::Configured]);
    assert!(mesh.rejected().is_empty());
}

#[test]
fn files_in_the_wrong_place_are_told_the_right_one() {
    let mesh = Mesh::new();
    let resources = mesh.root.path().join("resources");
    for (path, reason) in [
        ("a.yaml", "not in its place"),
        ("shop/deployments/a.yaml", "is none of canaries"),
        ("shop/serviceprofiles/other.svc.yaml", "by its place it is"),
        ("Shop/serviceprofiles/a.yaml", "namespace \"Shop\""),
    ] {
        let path = resources.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, manifest("a")).unwrap();
        mesh.look();
        assert!(mesh.rejected()[0].contains(reason), "{:?}", mesh.rejected());
        fs::remove_file(&path).unwrap();
        mesh.look();
        assert!(mesh.rejected().is_empty());
    }
}

#[test]
fn what_was_left_unfinished_is_no_resource() {
    let mesh = Mesh::new();
    let unfinished = mesh.file().with_file_name(".tmp-1-1");
    fs::write(&unfinished, "half").unwrap();
    let mesh = mesh.restart();
    assert!(mesh.rejected().is_empty());
    assert!(!unfinished.exists());
}

#[test]
fn workloads_are_followed_and_a_broken_file_changes_nothing() {
    let mesh = Mesh::new();
    let path = mesh.root.path().join("run/workloads.json");
    let write = |text: &str| atomic::write(&path, text.as_bytes()).unwrap();
    write(r#"{"generation": 1, "namespace": "shop", "workloads": []}"#);
    mesh.local.tick();
    let namespace = || mesh.local.0.index.default_namespace().to_string();
    assert_eq!(namespace(), "shop");

    write("{");
    mesh.local.tick();
    assert_eq!(namespace(), "shop");
    assert_eq!(mesh.rejected().len(), 1);

    write(r#"{"generation": 2, "namespace": "other"}"#);
    mesh.local.tick();
    assert_eq!(namespace(), "other");
    assert!(mesh.rejected().is_empty());
    fs::remove_file(&path).unwrap();
    mesh.look();
    assert_eq!(namespace(), "other");
}

#[tokio::test]
async fn the_conditions_of_a_resource_are_kept_while_it_exists() {
    let mesh = Mesh::new();
    mesh.local.put(vec![resource("a").into()]).await.unwrap();
    let reference = Reference::from(&resource("a").key);
    let set = async |reference: &Reference, status| {
        let set = mesh.local.set_status(reference.clone(), status);
        set.await.unwrap()
    };
    let status = Status {
        conditions: vec![model::Condition {
            kind: model::ConditionKind::ResolvedRefs,
            is_met: false,
            reason: "BackendNotFound",
            message: "its service has no such port".into(),
        }],
    };
    assert!(set(&reference, status.clone()).await);
    assert_eq!(mesh.local.status(&reference), status);
    mesh.local.delete(reference.clone()).await.unwrap();
    assert_eq!(mesh.local.status(&reference), Status::default());
    assert!(!set(&reference, status).await);
    assert_eq!(mesh.local.status(&reference), Status::default());
}

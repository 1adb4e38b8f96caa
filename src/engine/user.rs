//! Who a container runs as. A pure decision; arranging the files' owners for it is `ownership`'s.

/// User and group.
pub type Ids = (u32, u32);

/// Inside, where the caller is plain root: an id that no account has by convention.
pub const UNPRIVILEGED: Ids = (65532, 65532);

/// Who called ybox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    pub ids: Ids,
    /// Who called sudo, where ybox runs under it (`SUDO_UID`, `SUDO_GID`).
    pub sudo: Option<Ids>,
}

impl Caller {
    /// This process's effective user and group.
    pub fn current(sudo: Option<Ids>) -> Self {
        let ids = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        Self { ids, sudo }
    }

    pub fn is_root(&self) -> bool {
        self.ids.0 == 0
    }
}

/// How an engine's user ids relate to the host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdMapping {
    /// The same number is the same user: rootful engines, the embedded runner, and rootless Podman
    /// when told to keep the id.
    Same,
    /// Rootless Docker: 0 inside is the caller outside, and every other id belongs to nobody.
    CallerIsZero,
}

/// The user of a container, and what that asks of the writable mounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContainerUser {
    pub ids: Ids,
    /// None where the caller's own files are the container user's already.
    pub hand_over: Option<HandOver>,
}

/// Whom the writable mounts are given to for the run, and who gets what was root's afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandOver {
    pub to: Ids,
    pub back: Ids,
}

/// An ordinary caller is the container's user. Root never is: under sudo it is the user who called
/// sudo, and under plain root an unprivileged id.
pub fn container_user(caller: &Caller, mapping: IdMapping) -> ContainerUser {
    if !caller.is_root() {
        let ids = match mapping {
            IdMapping::Same => caller.ids,
            IdMapping::CallerIsZero => (0, 0),
        };
        return ContainerUser { ids, hand_over: None };
    }
    let hand_over = match caller.sudo.filter(|(uid, _)| *uid != 0) {
        Some(user) => HandOver { to: user, back: user },
        None => HandOver { to: UNPRIVILEGED, back: caller.ids },
    };
    ContainerUser { ids: hand_over.to, hand_over: Some(hand_over) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: Ids = (1000, 100);

    fn decide(ids: Ids, sudo: Option<Ids>, mapping: IdMapping) -> ContainerUser {
        container_user(&Caller { ids, sudo }, mapping)
    }

    #[test]
    fn an_ordinary_caller_is_the_user_inside() {
        let user = decide(ALICE, None, IdMapping::Same);
        assert_eq!(user, ContainerUser { ids: ALICE, hand_over: None });
    }

    #[test]
    fn sudo_ids_are_ignored_where_the_caller_is_not_root() {
        assert_eq!(decide(ALICE, Some((5, 5)), IdMapping::Same).ids, ALICE);
    }

    #[test]
    fn under_a_rootless_docker_the_caller_is_zero_inside() {
        let user = decide(ALICE, None, IdMapping::CallerIsZero);
        assert_eq!(user, ContainerUser { ids: (0, 0), hand_over: None });
    }

    #[test]
    fn under_sudo_the_user_is_who_called_it_and_keeps_the_files() {
        let user = decide((0, 0), Some(ALICE), IdMapping::Same);
        assert_eq!(user.ids, ALICE);
        assert_eq!(user.hand_over, Some(HandOver { to: ALICE, back: ALICE }));
    }

    #[test]
    fn plain_root_is_unprivileged_inside_and_gets_the_files_back() {
        let user = decide((0, 0), None, IdMapping::Same);
        assert_eq!(user.ids, UNPRIVILEGED);
        assert_eq!(user.hand_over, Some(HandOver { to: UNPRIVILEGED, back: (0, 0) }));
    }

    #[test]
    fn root_is_never_root_inside() {
        for mapping in [IdMapping::Same, IdMapping::CallerIsZero] {
            for sudo in [None, Some((0, 0)), Some((0, 7)), Some(ALICE)] {
                assert_ne!(decide((0, 0), sudo, mapping).ids.0, 0, "{mapping:?} {sudo:?}");
            }
        }
    }
}

// SPDX-License-Identifier: GPL-2.0

//! What the processes of a user get of his workers.

use super::*;

#[kunit_tests(odp_users)]
mod suite {
    use super::*;

    /// What is counted for a user.
    fn counted(users: &Users, user: u32) -> Option<c_int> {
        users.workers.lock().get(&user).copied()
    }

    #[test]
    fn the_first_get_what_they_want_and_all_get_one() -> Result {
        let users = Users::new()?;
        let mut shares = KVec::new();

        for _ in 0..200 {
            shares.push(Users::share(&users, 7, 64)?, GFP_KERNEL)?;
        }
        let of = |i: usize| shares.get(i).map(Share::workers);
        assert_eq!(of(0), Some(64));
        assert_eq!(of(23), Some(64));
        assert_eq!(of(25), Some(56));
        assert_eq!(of(199), Some(1));
        let all: c_int = shares.iter().map(Share::workers).sum();
        assert_eq!(counted(&users, 7), Some(all));
        assert!(all < MAX + 200);
        Ok(())
    }

    #[test]
    fn another_user_gets_what_he_wants() -> Result {
        let users = Users::new()?;
        let mut shares = KVec::new();

        for _ in 0..1_000 {
            shares.push(Users::share(&users, 7, 64)?, GFP_KERNEL)?;
        }
        assert_eq!(Users::share(&users, 8, 64)?.workers(), 64);
        assert_eq!(Users::share(&users, 7, 64)?.workers(), 1);
        Ok(())
    }

    #[test]
    fn what_is_given_back_can_be_had_again() -> Result {
        let users = Users::new()?;
        let first = Users::share(&users, 7, 16)?;
        let second = Users::share(&users, 7, 64)?;

        assert_eq!(counted(&users, 7), Some(80));
        drop(first);
        assert_eq!(counted(&users, 7), Some(64));
        drop(second);
        assert_eq!(counted(&users, 7), None);
        Ok(())
    }
}

//! The hundred emoji of the ballot, in its order.

/// An emoji, and the method of the voting service that counts votes for it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) unicode: &'static str,
    /// With its colons, as in `:doughnut:`.
    pub(crate) shortcode: &'static str,
    /// Name of the gRPC method, such as `VoteDoughnut`.
    pub(crate) method: &'static str,
}

/// The one that is broken.
pub(crate) const DOUGHNUT: &str = ":doughnut:";

/// The emoji with `shortcode`.
pub(crate) fn by_shortcode(shortcode: &str) -> Option<&'static Entry> {
    CATALOGUE.iter().find(|entry| entry.shortcode == shortcode)
}

const fn entry(unicode: &'static str, shortcode: &'static str, method: &'static str) -> Entry {
    Entry {
        unicode,
        shortcode,
        method,
    }
}

/// All of them.
#[rustfmt::skip] // a table
pub(crate) const CATALOGUE: [Entry; 100] = [
    entry("😀", ":grinning:", "VoteGrinning"),
    entry("😂", ":joy:", "VoteJoy"),
    entry("😉", ":wink:", "VoteWink"),
    entry("😍", ":heart_eyes:", "VoteHeartEyes"),
    entry("😎", ":sunglasses:", "VoteSunglasses"),
    entry("🤔", ":thinking:", "VoteThinking"),
    entry("😴", ":sleeping:", "VoteSleeping"),
    entry("😱", ":scream:", "VoteScream"),
    entry("🤖", ":robot:", "VoteRobot"),
    entry("👻", ":ghost:", "VoteGhost"),
    entry("👽", ":alien:", "VoteAlien"),
    entry("💩", ":poop:", "VotePoop"),
    entry("😺", ":smiley_cat:", "VoteSmileyCat"),
    entry("🙈", ":see_no_evil:", "VoteSeeNoEvil"),
    entry("💃", ":dancer:", "VoteDancer"),
    entry("🕺", ":man_dancing:", "VoteManDancing"),
    entry("🏄", ":surfer:", "VoteSurfer"),
    entry("🧘", ":lotus_position:", "VoteLotusPosition"),
    entry("🙌", ":raised_hands:", "VoteRaisedHands"),
    entry("👍", ":thumbsup:", "VoteThumbsup"),
    entry("👋", ":wave:", "VoteWave"),
    entry("🤘", ":metal:", "VoteMetal"),
    entry("💪", ":muscle:", "VoteMuscle"),
    entry("🧠", ":brain:", "VoteBrain"),
    entry("👀", ":eyes:", "VoteEyes"),
    entry("❤️", ":heart:", "VoteHeart"),
    entry("💯", ":100:", "Vote100"),
    entry("🔥", ":fire:", "VoteFire"),
    entry("⭐", ":star:", "VoteStar"),
    entry("🌈", ":rainbow:", "VoteRainbow"),
    entry("⛄", ":snowman:", "VoteSnowman"),
    entry("⚡", ":zap:", "VoteZap"),
    entry("🌊", ":ocean:", "VoteOcean"),
    entry("🌋", ":volcano:", "VoteVolcano"),
    entry("🌙", ":crescent_moon:", "VoteCrescentMoon"),
    entry("🪐", ":ringed_planet:", "VoteRingedPlanet"),
    entry("🌍", ":earth_africa:", "VoteEarthAfrica"),
    entry("☀️", ":sunny:", "VoteSunny"),
    entry("🌵", ":cactus:", "VoteCactus"),
    entry("🌻", ":sunflower:", "VoteSunflower"),
    entry("🌲", ":evergreen_tree:", "VoteEvergreenTree"),
    entry("🍄", ":mushroom:", "VoteMushroom"),
    entry("🍀", ":four_leaf_clover:", "VoteFourLeafClover"),
    entry("🐶", ":dog:", "VoteDog"),
    entry("🐱", ":cat:", "VoteCat"),
    entry("🦊", ":fox:", "VoteFox"),
    entry("🐻", ":bear:", "VoteBear"),
    entry("🐼", ":panda:", "VotePanda"),
    entry("🐨", ":koala:", "VoteKoala"),
    entry("🦁", ":lion:", "VoteLion"),
    entry("🐸", ":frog:", "VoteFrog"),
    entry("🐵", ":monkey:", "VoteMonkey"),
    entry("🐧", ":penguin:", "VotePenguin"),
    entry("🦉", ":owl:", "VoteOwl"),
    entry("🦄", ":unicorn:", "VoteUnicorn"),
    entry("🐝", ":bee:", "VoteBee"),
    entry("🦋", ":butterfly:", "VoteButterfly"),
    entry("🐢", ":turtle:", "VoteTurtle"),
    entry("🐙", ":octopus:", "VoteOctopus"),
    entry("🦀", ":crab:", "VoteCrab"),
    entry("🐬", ":dolphin:", "VoteDolphin"),
    entry("🐳", ":whale:", "VoteWhale"),
    entry("🦖", ":t_rex:", "VoteTRex"),
    entry("🦔", ":hedgehog:", "VoteHedgehog"),
    entry("🐌", ":snail:", "VoteSnail"),
    entry("🍎", ":apple:", "VoteApple"),
    entry("🍌", ":banana:", "VoteBanana"),
    entry("🍉", ":watermelon:", "VoteWatermelon"),
    entry("🍓", ":strawberry:", "VoteStrawberry"),
    entry("🍍", ":pineapple:", "VotePineapple"),
    entry("🥑", ":avocado:", "VoteAvocado"),
    entry("🌶️", ":hot_pepper:", "VoteHotPepper"),
    entry("🌽", ":corn:", "VoteCorn"),
    entry("🥨", ":pretzel:", "VotePretzel"),
    entry("🧀", ":cheese:", "VoteCheese"),
    entry("🍕", ":pizza:", "VotePizza"),
    entry("🍔", ":hamburger:", "VoteHamburger"),
    entry("🌮", ":taco:", "VoteTaco"),
    entry("🍣", ":sushi:", "VoteSushi"),
    entry("🍦", ":icecream:", "VoteIcecream"),
    entry("🍩", ":doughnut:", "VoteDoughnut"),
    entry("🍪", ":cookie:", "VoteCookie"),
    entry("🎂", ":birthday:", "VoteBirthday"),
    entry("🍿", ":popcorn:", "VotePopcorn"),
    entry("☕", ":coffee:", "VoteCoffee"),
    entry("🍵", ":tea:", "VoteTea"),
    entry("🍺", ":beer:", "VoteBeer"),
    entry("🎉", ":tada:", "VoteTada"),
    entry("🎈", ":balloon:", "VoteBalloon"),
    entry("🎸", ":guitar:", "VoteGuitar"),
    entry("🎲", ":game_die:", "VoteGameDie"),
    entry("🏆", ":trophy:", "VoteTrophy"),
    entry("⚽", ":soccer:", "VoteSoccer"),
    entry("🚲", ":bike:", "VoteBike"),
    entry("🚀", ":rocket:", "VoteRocket"),
    entry("⛵", ":sailboat:", "VoteSailboat"),
    entry("🚂", ":steam_locomotive:", "VoteSteamLocomotive"),
    entry("⌛", ":hourglass:", "VoteHourglass"),
    entry("💡", ":bulb:", "VoteBulb"),
    entry("📎", ":paperclip:", "VotePaperclip"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_emoji_share_anything() {
        for part in [
            |entry: &Entry| entry.unicode,
            |entry: &Entry| entry.shortcode,
            |entry: &Entry| entry.method,
        ] {
            let parts: BTreeSet<_> = CATALOGUE.iter().map(part).collect();
            assert_eq!(parts.len(), CATALOGUE.len());
        }
    }

    #[test]
    fn an_emoji_is_found_by_its_shortcode() {
        let doughnut = by_shortcode(DOUGHNUT).unwrap();
        assert_eq!(
            (doughnut.unicode, doughnut.method),
            ("\u{1f369}", "VoteDoughnut")
        );
        assert_eq!(by_shortcode("doughnut"), None);
    }
}

//! Packages that an app uses: each module of `tests/packages/libs/` exercises one and says what came out.
use libtest_mimic::Trial;

use super::fixture::Place;

/// Module, and the JSON it must answer.
const LIBS: &[(&str, &str)] = &[
    ("axios", r#"[{"method":"PUT","body":{"a":1}},true,418]"#),
    ("bcrypt", r#"["$2b$06$",true,false]"#),
    ("better-auth", r#"["jo@example.org","Jo",401]"#),
    ("cheerio", r#"[2,"<li class=\"a\">One</li><li class=\"b\" title=\"2nd\">Zwei</li>"]"#),
    ("date-fns", r#"["2024-02-29","Mittwoch, 31. Januar 2024","3 months"]"#),
    ("dayjs", r#""2024-07-02 01:00 +09:00""#),
    ("drizzle", r#"["back",[{"id":3,"text":"c"},{"id":2,"text":"B"},{"id":1,"text":"a"}]]"#),
    ("elysia", r#"[{"sum":42},422]"#),
    ("esbuild", r#"["let x = 1 + 2;\nexport { x };\n","[\n  [ 1, 2 ], [ 3 ]\n]"]"#),
    ("express", r#"[201,{"id":"7","got":{"a":1},"q":"x"},404]"#),
    ("fastify", r#"[{"twice":42},400,"FST_ERR_VALIDATION"]"#),
    ("graphql", r#"[{"add":42},1]"#),
    ("handlebars", r#""<b>1</b><b>&lt;2&gt;</b>""#),
    ("hono", r#"[{"hello":"jo","cookie":"here"},"seen=yes; Path=/","*"]"#),
    (
        "jsonwebtoken",
        r#"[{"sub":"jo"},"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJhIjoxfQ.57TF7smP9XDhIexBqPC-F1toZReYZLWb_YRU5tv0sxM","invalid signature"]"#,
    ),
    ("libsql", "42"),
    ("lodash", r#"[[[1,2],[3,4],[5]],{"3":["one","two"],"5":["three"]},"hello jo"]"#),
    ("marked", r#""<h1>Hi</h1>\n<ul>\n<li><em>a</em></li>\n<li><code>b</code></li>\n</ul>\n""#),
    ("nanoid", "[21,true]"),
    (
        "nodemailer",
        r#"[["jo@example.org"],["MAIL FROM:<me@example.org>","RCPT TO:<jo@example.org>","Subject: Hi","Dear Jo"]]"#,
    ),
    ("pino", r#"{"level":40,"part":"a","n":1,"msg":"careful"}"#),
    ("puppeteer-core", r#""Browser was not found at the configured executablePath (/usr/bin/chromium)""#),
    ("react", r#"["<p class=\"a\">1 &lt; 2</p>",true]"#),
    ("sharp", r#"["webp",64,48,true,[0,0,255]]"#),
    ("socketio", r#"[["polling",42],["websocket",42]]"#),
    ("trpc", r#"[200,{"result":{"data":42}}]"#),
    ("uuid", r#"["e2b8b0dc-7609-5249-9dfe-f63839d2087e",[[true,4],[true,7]],false]"#),
    ("ws", "[[false,5],[true,100000]]"),
    ("zod", r#"[{"name":"Jo","mail":"jo@example.org","age":7},["name","mail"]]"#),
];

pub fn trials(place: &Place) -> Vec<Trial> {
    let trial = |(name, expected): &(&'static str, &'static str)| {
        let (place, name, expected) = (place.clone(), *name, *expected);
        Trial::test(format!("package {name}"), move || place.expect("libs", name, expected))
    };
    LIBS.iter().map(trial).collect()
}

// What one app costs, from what was measured and what is assumed.
const MIB = 2 ** 20;

export function price(of) {
  const total = of["memory-gib"] * 2 ** 30;
  const text = 24 * MIB;
  const fixed = of["os-mib"] * MIB + of.server + text;
  const room = total - fixed;
  const share = of["awake-share"];
  // An app's own group does not hold what the kernel keeps for its network.
  const awake = of.allIn ?? of.each + of["net-mib"] * MIB;
  const dollars = (apps) => `$${(of["server-price"] / (apps * of.sold)).toFixed(4)}`;
  const fits = (each) => Math.floor(room / each);
  console.log(`
the price of a hello app on a server of $${of["server-price"]} a month with ${of["memory-gib"]} GiB
  measured: ${((of.allIn ?? of.each) / MIB).toFixed(2)} MiB awake${of.allIn ? ", all in" : ", by its group"}, ${(of.asleep / 1024).toFixed(2)} KiB asleep, ${(of.server / MIB).toFixed(1)} MiB the server with 10 apps
  assumed:  ${of["os-mib"]} MiB for the system (--os-mib), 24 MiB for Bun's text, shared by all;${of.allIn ? "" : ` ${of["net-mib"]} MiB for the network of each app awake (--net-mib);`}
            ${share * 100} % of the apps awake at a time (--awake-share), ${of.sold * 100} % of the places sold (--sold);
            memory is what runs out first: processor, disk and traffic are not counted; no swap`);
  for (const [what, each] of [
    ["all awake", awake],
    [`${share * 100} % awake`, awake * share + of.asleep * (1 - share)],
  ]) {
    const apps = fits(each);
    console.log(`  ${what}: ${apps} apps fit, ${dollars(apps)} an app a month; at $1 each the server pays for itself with ${Math.ceil(of["server-price"])}`);
  }
}

/** Prints a page, from within the network in which it is. */
// deno-lint-ignore-file no-console -- this is a program
const [url = ""] = Deno.args;
console.log(await (await fetch(url)).text());

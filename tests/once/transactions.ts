// deno-lint-ignore-file no-console -- this is a program
import { FileOnce } from "../../mod.ts";

// Counts the numbers from 0 on in the file itself, until it is killed or through.
const [file, end] = Deno.args;
using once = new FileOnce(file!);
once.database.exec("CREATE TABLE IF NOT EXISTS counted (number INTEGER)");
console.log("begin");
for (let number = 0; number < Number(end); number++) {
  once.transact(`id ${number}`, (db) => {
    db.prepare("INSERT INTO counted VALUES (?)").run(number);
  });
}
console.log("through");

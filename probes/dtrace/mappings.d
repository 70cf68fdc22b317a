#!/usr/sbin/dtrace -s
/*
 * mappings: which mappings are reloaded, and what do they change?
 *
 * USAGE
 *   overlay-trace --tracer dtrace mappings [interval [count]]
 *   dtrace -Z -p PID -s mappings.d [interval [count]]
 *
 * DESCRIPTION
 *   Asks in D what mappings.bt asks; its header explains the answer.
 *
 * OVERHEAD
 *   None worth naming: one firing for each mapping.
 *
 * CAVEATS
 *   Watch varpd: the provider's name carries the process id of -p.
 *   Ends after count times interval seconds, or by Ctrl-C.
 */

#pragma D option quiet
#pragma D option defaultargs
#pragma D option strsize=256

dtrace:::BEGIN
{
	printf("Tracing mappings: milliseconds, overlay, entries, changes, verdict, file... Ctrl-C ends.\n");
	start = timestamp;
	seconds = 0;
}

varpd$target:::mapping
{
	printf("%8u %7u %8u %8u %-8s %s\n", (timestamp - start) / 1000000, arg0, arg1, arg2, arg3 == 0 ? "refused" : "taken", copyinstr(arg4));
	@mappings[arg3 == 0 ? "refused" : "taken", copyinstr(arg4)] = count();
	@targets_changed[copyinstr(arg4)] = sum(arg2);
}

profile:::tick-1s
/$1 > 0/
{
	seconds++;
}

profile:::tick-1s
/$1 > 0 && $2 > 0 && seconds >= $1 * $2/
{
	exit(0);
}

dtrace:::END
{
	printf("\n");
	printa("%s %s: %@u\n", @mappings);
	printa("targets_changed %s: %@u\n", @targets_changed);
}

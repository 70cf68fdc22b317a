#!/usr/sbin/dtrace -s
/*
 * plugins: which plugins are loaded, and do they keep their promises?
 *
 * USAGE
 *   overlay-trace --tracer dtrace plugins [interval [count]]
 *   dtrace -Z -p PID -s plugins.d [interval [count]]
 *
 * DESCRIPTION
 *   Asks in D what plugins.bt asks; its header explains the answer.
 *
 * OVERHEAD
 *   Two firings of about a microsecond for each lookup.
 *
 * CAVEATS
 *   Watch varpd: the provider's name carries the process id of -p.
 *   Ends after count times interval seconds, or by Ctrl-C. A lookup that a
 *   plugin leaves to overlayd's time limit stays in dynvarsize until then.
 */

#pragma D option quiet
#pragma D option defaultargs
#pragma D option strsize=256
#pragma D option dynvarsize=16m

dtrace:::BEGIN
{
	printf("Tracing plugins: milliseconds, plugin, what... Ctrl-C ends.\n");
	start = timestamp;
	seconds = 0;
}

varpd$target:::plugin-load
{
	printf("%8u %s pid %u %s %s\n", (timestamp - start) / 1000000, copyinstr(arg2), arg0, arg1 == 0 ? "refused" : "loaded", copyinstr(arg3));
	@loads[arg1 == 0 ? "refused" : "loaded", copyinstr(arg2)] = count();
}

varpd$target:::plugin-crash
{
	printf("%8u %s pid %u ended: %s; %u lookups open\n", (timestamp - start) / 1000000, copyinstr(arg2), arg0, copyinstr(arg3), arg1);
	@crashes[copyinstr(arg2)] = count();
}

varpd$target:::lookup
{
	begun[arg0] = timestamp;
	@lookups[copyinstr(arg3)] = count();
}

varpd$target:::answer
{
	@answers[copyinstr(arg3), copyinstr(arg2)] = count();
}

varpd$target:::answer
/begun[arg0]/
{
	@us[copyinstr(arg3)] = quantize((timestamp - begun[arg0]) / 1000);
	begun[arg0] = 0;
}

varpd$target:::answer-missing
{
	printf("%8u %s lookup %x: no answer\n", (timestamp - start) / 1000000, copyinstr(arg2), arg0);
	@missing[copyinstr(arg2)] = count();
}

varpd$target:::answer-late
{
	printf("%8u %s lookup %x: a late answer\n", (timestamp - start) / 1000000, copyinstr(arg2), arg0);
	@late[copyinstr(arg2)] = count();
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
	printa("%s %s: %@u\n", @loads);
	printa("crashes %s: %@u\n", @crashes);
	printa("lookups %s: %@u\n", @lookups);
	printa("answers %s %s: %@u\n", @answers);
	printa("missing %s: %@u\n", @missing);
	printa("late %s: %@u\n", @late);
	printa("us %s%@d\n", @us);
}

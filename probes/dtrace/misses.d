#!/usr/sbin/dtrace -s
/*
 * misses: is there a miss storm, and who makes it?
 *
 * USAGE
 *   overlay-trace --tracer dtrace misses [interval [count]] [--vni N] [--mac MAC]
 *   dtrace -Z -p PID -s misses.d [interval [count [vni [mac]]]]
 *
 * DESCRIPTION
 *   Asks in D what misses.bt asks; its header explains the answer.
 *
 * OVERHEAD
 *   One firing of about a microsecond for each frame without a known
 *   destination, and one for each lookup. Hits cost nothing.
 *
 * CAVEATS
 *   Watch overlayd: the provider's name carries the process id of -p.
 */

#pragma D option quiet
#pragma D option defaultargs
#pragma D option strsize=256

dtrace:::BEGIN
{
	printf("Tracing misses of the target table... Ctrl-C ends.\n");
	start = timestamp;
	seconds = 0;
	due = 0;
}

overlay$target:::target-miss
/($3 == 0 || arg1 == $3) && ($$4 == "" || copyinstr(arg3) == $$4)/
{
	@misses[arg1, copyinstr(arg3), copyinstr(arg2)] = count();
	@misses_in_second[(timestamp - start) / 1000000000] = count();
}

overlay$target:::lookup-start
/($3 == 0 || arg2 == $3) && ($$4 == "" || copyinstr(arg4) == $$4 || copyinstr(arg5) == $$4)/
{
	@lookups_by_vnic[arg2, copyinstr(arg4)] = count();
}

profile:::tick-1s
/$1 > 0/
{
	seconds++;
	due++;
}

profile:::tick-1s
/$1 > 0 && due == $1/
{
	due = 0;
	printf("\n%u s\n", seconds);
	printa("misses %u %s %s: %@u\n", @misses);
	printa("lookups_by_vnic %u %s: %@u\n", @lookups_by_vnic);
	printa("misses_in_second %u: %@u\n", @misses_in_second);
}

profile:::tick-1s
/$1 > 0 && $2 > 0 && seconds >= $1 * $2/
{
	exit(0);
}

dtrace:::END
{
	printf("\n");
	printa("misses %u %s %s: %@u\n", @misses);
	printa("lookups_by_vnic %u %s: %@u\n", @lookups_by_vnic);
	printa("misses_in_second %u: %@u\n", @misses_in_second);
}
